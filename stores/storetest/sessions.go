package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/session"
)

func createAndRead(c *check) {
	want := c.stored("a", func(r *session.Row) {
		r.Rotation = 3
		r.Touched = c.now.Add(1234 * time.Microsecond)
		r.Index = session.Index{Tenant: "corp", Person: "alice", Device: "kiosk", Certificates: []session.Digest{hash("x"), hash("y")},
			Handles: []session.Digest{hash("z"), hash("x")}}
	})
	got := c.read("a")
	got.Memo = nil
	c.same("row", got, want)
	for _, at := range []time.Time{got.Created, got.Touched, got.Expires} {
		if at.Location() != time.UTC {
			c.Fatalf("a time in %s", at.Location())
		}
	}
	c.stored("whatever its version", func(r *session.Row) { r.Version = 9 })
	c.same("version", c.read("whatever its version").Version, 1)
	_, err := c.s.Session(c.ctx, "b", c.now)
	c.refuses(err, session.ErrNotFound)
	c.refuses(c.s.SwapSession(c.ctx, swap(c.row("b"), "x")), session.ErrNotFound)
	c.refuses(c.s.SaveValues(c.ctx, "b", 0, nil), session.ErrNotFound)
	c.refuses(c.s.TouchSession(c.ctx, "b", 1, c.now), session.ErrNotFound)
	if _, err := c.s.Session(c.ctx, "b", c.now); !errors.Is(err, session.ErrNotFound) {
		c.Fatal("a write made a row")
	}
}

func selectorOnce(c *check) {
	c.stored("lives", nil)
	c.stored("ended", nil)
	c.stored("expired", func(r *session.Row) { r.Expires = c.in(10) })
	c.stored("ended and expired", func(r *session.Row) { r.Expires = c.in(10) })
	for _, selector := range []string{"ended", "ended and expired"} {
		_, err := c.s.EndSessions(c.ctx, session.Match{Selector: selector}, c.in(1))
		c.must(err)
	}
	for _, selector := range []string{"lives", "ended", "expired", "ended and expired"} {
		r := c.row(selector)
		r.ID, r.State = "another", []byte("again")
		c.refuses(c.s.CreateSession(c.ctx, r), session.ErrConflict)
		r = c.row("another")
		r.ID = "id of " + selector
		c.refuses(c.s.CreateSession(c.ctx, r), session.ErrConflict)
	}
	for _, selector := range []string{"without an id", "another one"} {
		c.stored(selector, func(r *session.Row) { r.ID = "" })
	}
	c.same("state", string(c.read("lives").State), "state of lives")
	errs := race(20, func(int) error { return c.s.CreateSession(c.ctx, c.row("new")) })
	c.oneWins(errs, session.ErrConflict)
}

func swapReplaces(c *check) {
	before := c.stored("a", nil)
	c.must(c.s.SwapSession(c.ctx, swap(before, "next")))
	want := before
	want.Version, want.State = 2, []byte("next")
	c.unchanged(want)

	secret := hash("new secret")
	c.must(c.s.SwapSession(c.ctx, session.Swap{
		Selector: "a", From: 2, State: []byte("third"), SecretHash: &secret, ClearValues: true, Touched: c.in(5), Expires: c.in(7200),
		Index:  session.Index{Tenant: "corp", Person: "alice", Certificates: []session.Digest{hash("x")}, Handles: []session.Digest{hash("h")}},
		Client: &session.Client{Source: "192.0.2.2", Agent: "other"},
	}))
	want.Version, want.State, want.SecretHash, want.Rotation, want.Values = 3, []byte("third"), secret, 1, nil
	want.Touched, want.Expires = c.in(5), c.in(7200)
	want.Index = session.Index{Tenant: "corp", Person: "alice", Certificates: []session.Digest{hash("x")}, Handles: []session.Digest{hash("h")}}
	want.Client = session.Client{Source: "192.0.2.2", Agent: "other"}
	c.unchanged(want)

	secret[0]++ // the caller's again
	c.unchanged(want)
	c.must(c.s.SwapSession(c.ctx, session.Swap{
		Selector: "a", From: 3, Expires: c.in(60), Touched: c.in(1), Client: &session.Client{},
	}))
	want.Version, want.State, want.Expires, want.Index, want.Client = 4, nil, c.in(60), session.Index{}, session.Client{}
	c.unchanged(want) // Touched too: a swap doesn't move it back
	c.must(c.s.SaveValues(c.ctx, "a", 1, []byte("of the second")))
	c.must(c.s.SwapSession(c.ctx, session.Swap{
		Selector: "a", From: 4, ClearValues: true, Expires: c.in(60), Index: session.Index{Tenant: "corp", Person: "alice", Principal: true},
	}))
	want.Version, want.Rotation, want.Index = 5, 2, session.Index{Tenant: "corp", Person: "alice", Principal: true}
	c.unchanged(want) // dropped values are a rotation, though the secret is the same
	c.refuses(c.s.SaveValues(c.ctx, "a", 1, []byte("late")), session.ErrConflict)
}

func swapCompares(c *check) {
	before := c.stored("a", nil)
	for _, from := range []uint64{0, 2, 1 << 40} {
		w := swap(before, "wrong")
		w.From, w.ClearValues, w.SecretHash = from, true, &session.Digest{1}
		c.refuses(c.s.SwapSession(c.ctx, w), session.ErrConflict)
		c.unchanged(before)
	}
	c.must(c.s.SwapSession(c.ctx, swap(before, "right")))
	c.refuses(c.s.SwapSession(c.ctx, swap(before, "late")), session.ErrConflict)
	c.same("state", string(c.read("a").State), "right")
}

func swapRace(c *check) {
	r := c.stored("a", nil)
	for round := range 3 {
		errs := race(100, func(i int) error {
			w := swap(r, fmt.Sprint("winner ", i))
			secret := hash(fmt.Sprint(i))
			w.SecretHash = &secret
			return c.s.SwapSession(c.ctx, w)
		})
		winner := c.oneWins(errs, session.ErrConflict)
		r = c.read("a")
		c.same("state", string(r.State), fmt.Sprint("winner ", winner))
		c.same("secret", r.SecretHash, hash(fmt.Sprint(winner)))
		c.same("version and rotation", []uint64{r.Version, r.Rotation}, []uint64{uint64(round) + 2, uint64(round) + 1})
	}
}

func valuesBelong(c *check) {
	r := c.stored("a", nil)
	c.must(c.s.SaveValues(c.ctx, "a", 0, []byte("one")))
	r.Values = []byte("one")
	c.unchanged(r) // the version too

	w := swap(r, "same secret")
	c.must(c.s.SwapSession(c.ctx, w))
	c.same("values", string(c.read("a").Values), "one")
	c.must(c.s.SaveValues(c.ctx, "a", 0, []byte("two"))) // another version, the same rotation

	w.From, w.SecretHash = 2, &session.Digest{7}
	c.must(c.s.SwapSession(c.ctx, w))
	c.same("values", string(c.read("a").Values), "two") // a rotation alone keeps them
	for _, rotation := range []uint64{0, 2} {
		c.refuses(c.s.SaveValues(c.ctx, "a", rotation, []byte("of another principal")), session.ErrConflict)
	}
	c.same("values", string(c.read("a").Values), "two")
	c.must(c.s.SaveValues(c.ctx, "a", 1, nil))
	c.same("values", string(c.read("a").Values), "")
}

func touch(c *check) {
	r := c.stored("a", nil)
	c.must(c.s.TouchSession(c.ctx, "a", 1, c.in(10)))
	r.Touched = c.in(10)
	c.unchanged(r)
	c.must(c.s.TouchSession(c.ctx, "a", 1, c.in(9))) // no error, no step back
	c.unchanged(r)
	c.refuses(c.s.TouchSession(c.ctx, "a", 2, c.in(20)), session.ErrConflict)
	c.unchanged(r)
	c.must(c.s.SwapSession(c.ctx, swap(r, "a touch never makes a swap lose")))
	c.refuses(c.s.TouchSession(c.ctx, "a", 1, c.in(30)), session.ErrConflict)
	got := c.read("a")
	c.same("touched", got.Touched, c.in(10))

	errs := race(20, func(i int) error { return c.s.TouchSession(c.ctx, "a", 2, c.in(20+i)) })
	c.must(errors.Join(errs...))
	c.same("touched", c.read("a").Touched, c.in(39))
}

func memo(c *check) {
	r := c.stored("a", nil)
	first := c.read("a").Memo
	c.must(c.s.TouchSession(c.ctx, "a", 1, c.in(10)))
	c.must(c.s.SaveValues(c.ctx, "a", 0, []byte("v")))
	if c.read("a").Memo != first {
		c.Fatal("one version of a row, two memos")
	}
	c.must(c.s.SwapSession(c.ctx, swap(r, "next")))
	second := c.read("a").Memo
	if second != nil && second == first {
		c.Fatal("the memo outlived a swap")
	}
	_, err := c.s.EndSessions(c.ctx, session.Match{Selector: "a"}, c.in(1))
	c.must(err)
	if third := c.read("a").Memo; third != nil && third == second {
		c.Fatal("the memo outlived the end")
	}
}

// tombstone ends a row in each way that there is.
var tombstone = map[string]func(c *check, r session.Row) error{
	"by EndSessions": func(c *check, r session.Row) error {
		n, err := c.s.EndSessions(c.ctx, session.Match{Selector: r.Selector}, c.in(5))
		c.same("ended", n, 1)
		return err
	},
	"by swap": func(c *check, r session.Row) error {
		w := swap(r, "ended")
		w.Ended = c.in(5)
		return c.s.SwapSession(c.ctx, w)
	},
}

func tombstones(c *check) {
	for how, end := range tombstone {
		r := c.stored(how, func(r *session.Row) { r.Index.Tenant = "corp" })
		c.must(end(c, r))
		dead := c.read(how)
		c.same("ended", dead.Ended, c.in(5))
		if len(dead.State) != 0 || len(dead.Values) != 0 {
			c.Fatalf("%s: state and values stayed", how)
		}
		for _, version := range []uint64{r.Version, dead.Version} {
			w := swap(r, "back to life")
			w.From = version
			c.refuses(c.s.SwapSession(c.ctx, w), session.ErrConflict)
			w.Ended = c.in(60)
			c.refuses(c.s.SwapSession(c.ctx, w), session.ErrConflict)
			c.refuses(c.s.TouchSession(c.ctx, how, version, c.in(60)), session.ErrConflict)
		}
		c.refuses(c.s.SaveValues(c.ctx, how, r.Rotation, []byte("v")), session.ErrConflict)
		n, err := c.s.EndSessions(c.ctx, session.Match{Selector: how}, c.in(60))
		c.must(err)
		c.same("ended again", n, 0)
		c.unchanged(dead)
		rows, err := c.s.ListSessions(c.ctx, session.Match{Tenant: "corp"}, c.now, 0)
		c.must(err)
		c.same("listed", len(rows), 0)
	}
}

// endingWins lets writers run while rows are ended: what comes after the end is refused, whatever it read before.
func endingWins(c *check) {
	r := c.stored("a", func(r *session.Row) { r.Index = session.Index{Tenant: "corp", Person: "alice"} })
	ended := make(chan struct{})
	errs := race(9, func(i int) error {
		if i == 0 {
			defer close(ended)
			_, err := c.s.EndSessions(c.ctx, session.Match{Tenant: "corp", Person: "alice"}, c.in(1))
			return err
		}
		for late := false; ; {
			select {
			case <-ended:
				late = true
			default:
			}
			err := c.write(r, i)
			switch {
			case late && !errors.Is(err, session.ErrConflict):
				return fmt.Errorf("a write after the end: %w", orNil(err))
			case late:
				return nil
			case err != nil && !errors.Is(err, session.ErrConflict):
				return err
			}
		}
	})
	c.must(errors.Join(errs...))
	dead := c.read("a")
	if dead.Ended.IsZero() || len(dead.State) != 0 || len(dead.Values) != 0 {
		c.Fatal("a write in flight brought a row back")
	}
}

var errSucceeded = errors.New("it succeeded")

func orNil(err error) error {
	if err == nil {
		return errSucceeded
	}
	return err
}

// write is one of the writes of a request in flight.
func (c *check) write(r session.Row, i int) error {
	switch i % 3 {
	case 0:
		return c.s.TouchSession(c.ctx, r.Selector, r.Version, c.in(i))
	case 1:
		return c.s.SaveValues(c.ctx, r.Selector, r.Rotation, []byte("late"))
	}
	now, err := c.s.Session(c.ctx, r.Selector, c.now)
	if err != nil {
		return err
	}
	return c.s.SwapSession(c.ctx, swap(now, "late"))
}

// everyOrder runs each pair of operations that read the same row, in both orders, and checks what the second one meets.
func everyOrder(c *check) {
	type operation struct {
		name string
		do   func(r session.Row) error
	}
	secret := hash("rotated")
	swapping := func(edit func(w *session.Swap)) func(r session.Row) error {
		return func(r session.Row) error {
			w := swap(r, "swapped")
			edit(&w)
			return c.s.SwapSession(c.ctx, w)
		}
	}
	all := []operation{
		{"swap", swapping(func(*session.Swap) {})},
		{"rotate", swapping(func(w *session.Swap) { w.SecretHash = &secret })},
		{"end by swap", swapping(func(w *session.Swap) { w.Ended = c.in(1) })},
		{"touch", func(r session.Row) error { return c.s.TouchSession(c.ctx, r.Selector, r.Version, c.in(1)) }},
		{"save", func(r session.Row) error { return c.s.SaveValues(c.ctx, r.Selector, r.Rotation, []byte("saved")) }},
		{"end", func(r session.Row) error {
			_, err := c.s.EndSessions(c.ctx, session.Match{Selector: r.Selector}, c.in(1))
			return err
		}},
	}
	// loses says which second operation is refused after which first one.
	loses := map[string][]string{
		"swap":        {"swap", "rotate", "end by swap", "touch"},
		"rotate":      {"swap", "rotate", "end by swap", "touch", "save"},
		"end by swap": {"swap", "rotate", "end by swap", "touch", "save"},
		"end":         {"swap", "rotate", "end by swap", "touch", "save"},
	}
	for _, first := range all {
		for _, second := range all {
			name := first.name + ", then " + second.name
			r := c.stored(name, nil)
			c.must(first.do(r))
			err := second.do(r)
			if slices.Contains(loses[first.name], second.name) != errors.Is(err, session.ErrConflict) {
				c.Fatalf("%s: %v", name, orNil(err))
			}
			if got := c.read(name); got.Ended.IsZero() == (first.name == "end" || first.name == "end by swap" || (err == nil && (second.name == "end" || second.name == "end by swap"))) {
				c.Fatalf("%s: ended at %v", name, got.Ended)
			}
		}
	}
}

func timeToLive(c *check) {
	r := c.stored("a", func(r *session.Row) { r.Expires = c.in(10); r.Index.Tenant = "corp" })
	at := func(seconds int, want error) {
		c.Helper()
		_, err := c.s.Session(c.ctx, "a", c.in(seconds))
		if !errors.Is(err, want) {
			c.Fatalf("after %d seconds: %v, want %v", seconds, err, want)
		}
		rows, err := c.s.ListSessions(c.ctx, session.Match{Tenant: "corp"}, c.in(seconds), 0)
		c.must(err)
		c.same("listed", len(rows) == 1, want == nil)
	}
	at(9, nil)
	at(10, session.ErrNotFound)
	at(11, session.ErrNotFound)
	w := swap(r, "longer")
	w.Expires = c.in(20)
	c.must(c.s.SwapSession(c.ctx, w))
	at(19, nil)
	at(20, session.ErrNotFound)
	w.From, w.Expires = 2, c.in(15) // and shorter
	c.must(c.s.SwapSession(c.ctx, w))
	at(14, nil)
	at(16, session.ErrNotFound)

	// The tombstone of a row is kept no longer than the row.
	_, err := c.s.EndSessions(c.ctx, session.Match{Selector: "a"}, c.in(1))
	c.must(err)
	_, err = c.s.Session(c.ctx, "a", c.in(16))
	c.refuses(err, session.ErrNotFound)
}

func pruneSessions(c *check) {
	index := session.Index{Tenant: "corp", Person: "alice", Device: "kiosk", Certificates: []session.Digest{hash("x")}}
	for i, selector := range []string{"a", "b", "c"} {
		c.stored(selector, func(r *session.Row) { r.Expires = c.in(10 * (i + 1)); r.Index = index })
	}
	_, err := c.s.EndSessions(c.ctx, session.Match{Selector: "b"}, c.in(1))
	c.must(err)
	n, err := c.s.PruneSessions(c.ctx, c.in(25))
	c.must(err)
	c.same("pruned", n, 2)
	c.read("c")
	for _, selector := range []string{"a", "b"} {
		c.refuses(c.s.SwapSession(c.ctx, swap(c.row(selector), "x")), session.ErrNotFound)
		c.stored(selector, nil) // nothing is left that it could clash with
	}
	rows, err := c.s.ListSessions(c.ctx, session.Match{Certificate: &index.Certificates[0]}, c.now, 0)
	c.must(err)
	c.same("listed", selectors(rows), []string{"c"})
	n, err = c.s.PruneSessions(c.ctx, c.in(25))
	c.must(err)
	c.same("pruned again", n, 0)
}

func selectors(rows []session.Row) []string {
	var all []string
	for _, r := range rows {
		all = append(all, r.Selector)
	}
	slices.Sort(all)
	return all
}

// crowd is rows of two tenants whose users have the same ids, and the certificates that they are tied to.
func (c *check) crowd(prefix string) {
	add := func(selector string, i session.Index) {
		c.stored(prefix+selector, func(r *session.Row) { r.Index = i })
	}
	for _, tenant := range []string{"corp", "labs"} {
		add(tenant+"/alice/1", session.Index{Tenant: tenant, Person: "alice", Certificates: []session.Digest{hash("alice@" + tenant)}, Handles: []session.Digest{hash("sid@" + tenant)}})
		add(tenant+"/alice/2", session.Index{Tenant: tenant, Person: "alice", Principal: true, Certificates: []session.Digest{hash("alice@" + tenant), hash("shared")},
			Handles: []session.Digest{hash("sub"), hash("second@" + tenant)}})
		add(tenant+"/bob", session.Index{Tenant: tenant, Person: "bob", Certificates: []session.Digest{hash("bob@" + tenant)}})
		add(tenant+"/kiosk", session.Index{Tenant: tenant, Device: "kiosk", Certificates: []session.Digest{hash("shared")}, Handles: []session.Digest{hash("sub")}})
		add(tenant+"/alice at kiosk", session.Index{Tenant: tenant, Person: "alice", Device: "kiosk", Principal: true})
	}
	add("guest", session.Index{})
	add("login", session.Index{Certificates: []session.Digest{hash("alice@corp")}, Handles: []session.Digest{hash("sid@corp")}})
}

// matches is each form of a match, and the selectors of the crowd that it stands for.
func matches() map[string]struct {
	m    session.Match
	want []string
} {
	shared, corp := hash("shared"), hash("alice@corp")
	sub, sid := hash("sub"), hash("sid@corp")
	return map[string]struct {
		m    session.Match
		want []string
	}{
		"nothing":               {session.Match{}, nil},
		"only an exception":     {session.Match{Except: "guest"}, nil},
		"selector":              {session.Match{Selector: "corp/bob"}, []string{"corp/bob"}},
		"no such selector":      {session.Match{Selector: "corp"}, nil},
		"selector, excepted":    {session.Match{Selector: "corp/bob", Except: "corp/bob"}, nil},
		"selector, other":       {session.Match{Selector: "corp/bob", Tenant: "labs"}, nil},
		"selector and tenant":   {session.Match{Selector: "corp/bob", Tenant: "corp"}, []string{"corp/bob"}},
		"tenant":                {session.Match{Tenant: "corp"}, []string{"corp/alice at kiosk", "corp/alice/1", "corp/alice/2", "corp/bob", "corp/kiosk"}},
		"tenant but one":        {session.Match{Tenant: "corp", Except: "corp/bob"}, []string{"corp/alice at kiosk", "corp/alice/1", "corp/alice/2", "corp/kiosk"}},
		"tenant but a stranger": {session.Match{Tenant: "corp", Except: "labs/bob", Person: "bob"}, []string{"corp/bob"}},
		"no such tenant":        {session.Match{Tenant: "cor"}, nil},
		"person":                {session.Match{Tenant: "corp", Person: "alice"}, []string{"corp/alice at kiosk", "corp/alice/1", "corp/alice/2"}},
		"person but one":        {session.Match{Tenant: "corp", Person: "alice", Except: "corp/alice/1"}, []string{"corp/alice at kiosk", "corp/alice/2"}},
		"person of the other":   {session.Match{Tenant: "labs", Person: "bob"}, []string{"labs/bob"}},
		"principals of tenant":  {session.Match{Tenant: "corp", Principals: true}, []string{"corp/alice at kiosk", "corp/alice/2"}},
		"principals of person":  {session.Match{Tenant: "corp", Person: "alice", Principals: true}, []string{"corp/alice at kiosk", "corp/alice/2"}},
		"principals alone":      {session.Match{Principals: true}, nil},
		"id":                    {session.Match{ID: "id of corp/bob"}, []string{"corp/bob"}},
		"id, other":             {session.Match{ID: "id of corp/bob", Tenant: "labs"}, nil},
		"id of a principal":     {session.Match{ID: "id of corp/alice/2", Tenant: "corp", Person: "alice", Principals: true}, []string{"corp/alice/2"}},
		"id of a login":         {session.Match{ID: "id of corp/alice/1", Tenant: "corp", Person: "alice", Principals: true}, nil},
		"no such id":            {session.Match{ID: "corp/bob"}, nil},
		"no device of a person": {session.Match{Tenant: "corp", Device: "alice"}, nil},
		"device":                {session.Match{Tenant: "corp", Device: "kiosk"}, []string{"corp/alice at kiosk", "corp/kiosk"}},
		"person at device":      {session.Match{Tenant: "corp", Person: "alice", Device: "kiosk"}, []string{"corp/alice at kiosk"}},
		"certificate":           {session.Match{Certificate: &shared}, []string{"corp/alice/2", "corp/kiosk", "labs/alice/2", "labs/kiosk"}},
		"certificate of logins": {session.Match{Certificate: &corp}, []string{"corp/alice/1", "corp/alice/2", "login"}},
		"certificate in tenant": {session.Match{Tenant: "labs", Certificate: &shared}, []string{"labs/alice/2", "labs/kiosk"}},
		"certificate of person": {session.Match{Tenant: "labs", Person: "alice", Certificate: &shared}, []string{"labs/alice/2"}},
		"certificate but one":   {session.Match{Certificate: &shared, Except: "labs/kiosk"}, []string{"corp/alice/2", "corp/kiosk", "labs/alice/2"}},
		"handle":                {session.Match{Handle: &sub}, []string{"corp/alice/2", "corp/kiosk", "labs/alice/2", "labs/kiosk"}},
		"handle of logins":      {session.Match{Handle: &sid}, []string{"corp/alice/1", "login"}},
		"handle in tenant":      {session.Match{Tenant: "labs", Handle: &sub}, []string{"labs/alice/2", "labs/kiosk"}},
		"handle of person":      {session.Match{Tenant: "labs", Person: "alice", Handle: &sub}, []string{"labs/alice/2"}},
		"handle at device":      {session.Match{Tenant: "corp", Device: "kiosk", Handle: &sub}, []string{"corp/kiosk"}},
		"handle of principals":  {session.Match{Handle: &sub, Principals: true}, []string{"corp/alice/2", "labs/alice/2"}},
		"handle but one":        {session.Match{Handle: &sub, Except: "labs/kiosk"}, []string{"corp/alice/2", "corp/kiosk", "labs/alice/2"}},
		"handle of selector":    {session.Match{Selector: "corp/kiosk", Handle: &sub}, []string{"corp/kiosk"}},
		"handle of id":          {session.Match{ID: "id of corp/kiosk", Handle: &sub}, []string{"corp/kiosk"}},
		"handle, certificate":   {session.Match{Handle: &sid, Certificate: &corp}, []string{"corp/alice/1", "login"}},
		"a certificate's":       {session.Match{Handle: &shared}, nil},
		"a handle's":            {session.Match{Certificate: &sub}, nil},
		"zero handle":           {session.Match{Handle: &session.Digest{}}, nil},
		"zero certificate":      {session.Match{Certificate: &session.Digest{}}, nil},
	}
}

func match(c *check) {
	for name, form := range matches() {
		c.crowd("")
		all, err := c.s.ListSessions(c.ctx, form.m, c.now, 0)
		c.must(err)
		c.same("list by "+name, selectors(all), slices.Sorted(slices.Values(form.want)))
		n, err := c.s.EndSessions(c.ctx, form.m, c.in(1))
		c.must(err)
		c.same("ended by "+name, n, len(form.want))
		c.ended(name, form.want)
		c.clear()
	}
}

// ended checks that exactly these of the crowd are ended.
func (c *check) ended(name string, want []string) {
	c.Helper()
	for _, selector := range []string{"corp/alice/1", "corp/alice/2", "corp/bob", "corp/kiosk", "corp/alice at kiosk",
		"labs/alice/1", "labs/alice/2", "labs/bob", "labs/kiosk", "labs/alice at kiosk", "guest", "login"} {
		if r := c.read(selector); r.Ended.IsZero() == slices.Contains(want, selector) {
			c.Fatalf("ending by %s: %s ended at %v", name, selector, r.Ended)
		}
	}
}

// clear forgets all rows.
func (c *check) clear() {
	c.Helper()
	_, err := c.s.PruneSessions(c.ctx, c.in(100_000))
	c.must(err)
}

func matchMany(c *check) {
	// Each set field must agree, whichever of them leads to the row.
	c.crowd("")
	for _, m := range []session.Match{
		{Selector: "corp/bob", Tenant: "corp", Person: "alice"},
		{Selector: "corp/bob", Tenant: "corp", Device: "kiosk"},
		{Selector: "corp/bob", Tenant: "corp", Certificate: &session.Digest{1}},
		{Tenant: "corp", Person: "bob", Device: "kiosk"},
		{Tenant: "corp", Person: "bob", Certificate: ptr(hash("shared"))},
		{Tenant: "labs", Certificate: ptr(hash("alice@corp"))},
		{Selector: "corp/bob", Handle: ptr(hash("sub"))},
		{ID: "id of corp/bob", Handle: ptr(hash("sub"))},
		{Tenant: "corp", Person: "bob", Handle: ptr(hash("sub"))},
		{Tenant: "labs", Handle: ptr(hash("sid@corp"))},
		{Certificate: ptr(hash("bob@corp")), Handle: ptr(hash("sub"))},
	} {
		n, err := c.s.EndSessions(c.ctx, m, c.in(1))
		c.must(err)
		c.same("ended", n, 0)
	}
	c.ended("contradictions", nil)
}

func ptr(d session.Digest) *session.Digest { return &d }

// matchWithoutTenant: a user's id says nothing without its tenant, so such a match may err, and selects nothing.
func matchWithoutTenant(c *check) {
	c.crowd("")
	for _, m := range []session.Match{{Person: "alice"}, {Device: "kiosk"}, {Person: "alice", Device: "kiosk"}} {
		n, _ := c.s.EndSessions(c.ctx, m, c.in(1))
		c.same("ended", n, 0)
		rows, _ := c.s.ListSessions(c.ctx, m, c.now, 0)
		c.same("listed", len(rows), 0)
	}
	c.ended("a user of no tenant", nil)
}

func indexMoves(c *check) {
	x, y := hash("x"), hash("y")
	r := c.stored("a", func(r *session.Row) { r.Index = session.Index{Certificates: []session.Digest{x}} })
	found := func(m session.Match) bool {
		rows, err := c.s.ListSessions(c.ctx, m, c.now, 0)
		c.must(err)
		return len(rows) == 1
	}
	forms := []session.Match{
		{Tenant: "corp"}, {Tenant: "corp", Person: "alice"}, {Tenant: "corp", Device: "kiosk"}, {Certificate: &x}, {Certificate: &y},
	}
	for i, step := range []struct {
		index session.Index
		want  []bool
	}{
		{session.Index{Certificates: []session.Digest{x}}, []bool{false, false, false, true, false}},
		{session.Index{Tenant: "corp", Device: "kiosk", Certificates: []session.Digest{x}}, []bool{true, false, true, true, false}},
		{session.Index{Tenant: "corp", Person: "alice", Device: "kiosk", Certificates: []session.Digest{x, y}}, []bool{true, true, true, true, true}},
		{session.Index{Tenant: "corp", Person: "alice", Certificates: []session.Digest{y}}, []bool{true, true, false, false, true}},
		{session.Index{Tenant: "corp", Person: "alice", Certificates: []session.Digest{x}}, []bool{true, true, false, true, false}},
		{session.Index{Tenant: "corp", Person: "bob", Certificates: []session.Digest{x}}, []bool{true, false, false, true, false}},
		{session.Index{Tenant: "corp", Person: "bob", Device: "kiosk", Certificates: []session.Digest{x}}, []bool{true, false, true, true, false}},
		{session.Index{Tenant: "labs", Person: "alice", Certificates: []session.Digest{y, y}}, []bool{false, false, false, false, true}},
		{session.Index{}, []bool{false, false, false, false, false}},
	} {
		w := swap(r, "moved")
		w.From, w.Index = uint64(i)+1, step.index
		c.must(c.s.SwapSession(c.ctx, w))
		for j, m := range forms {
			if found(m) != step.want[j] {
				c.Fatalf("step %d, match %d: want %v", i, j, step.want[j])
			}
		}
	}
	if !found(session.Match{Selector: "a"}) {
		c.Fatal("the row is lost")
	}
}

func list(c *check) {
	for i := range 150 {
		c.stored(fmt.Sprintf("%03d", i), func(r *session.Row) {
			r.Created = c.in(i)
			r.Index = session.Index{Tenant: "corp", Person: "alice"}
		})
	}
	for limit, want := range map[int]int{0: 100, 1: 1, 99: 99, 1000: 150} {
		rows, err := c.s.ListSessions(c.ctx, session.Match{Tenant: "corp", Person: "alice"}, c.now, limit)
		c.must(err)
		c.same("rows", len(rows), want)
		for i, r := range rows {
			c.same("selector", r.Selector, fmt.Sprintf("%03d", 149-i))
			if r.Values != nil {
				c.Fatal("values are listed")
			}
			c.same("state", string(r.State), "state of "+r.Selector)
		}
	}
	c.same("values", string(c.read("003").Values), "values of 003") // they are still there
}

func ownBytes(c *check) {
	r := c.row("a")
	r.Index = session.Index{Certificates: []session.Digest{hash("x")}, Handles: []session.Digest{hash("h")}}
	in := c.row("a")
	in.Index = session.Index{Certificates: []session.Digest{hash("x")}, Handles: []session.Digest{hash("h")}}
	c.must(c.s.CreateSession(c.ctx, in))
	scribble(in.State, in.Values)
	in.Index.Certificates[0], in.Index.Handles[0] = hash("y"), hash("y")
	c.unchanged(r)

	w := swap(r, "state")
	w.Index.Certificates = []session.Digest{hash("x"), hash("z")}
	w.Index.Handles = []session.Digest{hash("h"), hash("i")}
	w.Client = &session.Client{Source: "192.0.2.9"}
	values := []byte("values")
	c.must(c.s.SwapSession(c.ctx, w))
	c.must(c.s.SaveValues(c.ctx, "a", 0, values))
	scribble(w.State, values)
	w.Index.Certificates[1], w.Index.Handles[1] = hash("y"), hash("y")
	w.Client.Source = "scribbled"
	got := c.read("a")
	c.same("state and values", string(got.State)+" "+string(got.Values), "state values")
	c.same("certificates", got.Index.Certificates, []session.Digest{hash("x"), hash("z")})
	c.same("handles", got.Index.Handles, []session.Digest{hash("h"), hash("i")})
	c.same("source", got.Client.Source, "192.0.2.9")

	_ = append(got.State, "more"...)
	_ = append(got.Values, "more"...)
	c.unchanged(got)
}

func scribble(all ...[]byte) {
	for _, b := range all {
		for i := range b {
			b[i] = '#'
		}
	}
}
