package authn_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
)

// What one request has proven is written by nobody, and a record that says so is not restored: not of a person, not of a
// device, not beneath somebody.
func TestOneRequestIsNoRecord(t *testing.T) {
	for _, s := range answering() {
		if b, err := authn.Encode(s); err == nil || errors.Is(err, authn.ErrRecord) {
			t.Errorf("%s was written, %v", b, err)
		}
	}
	open := mService
	open.EachRequest = false
	person := after(authn.Guest{}, begin(open, t0), prove(fCert, corpAlice, "", t0), prove(fToken, corpAlice, "", t0))
	for _, test := range []struct {
		name  string
		state authn.State
		whose string
	}{
		{"a person", person, "person"},
		{"a device", device(), "device"},
		{"a device beneath a person", personOnDevice(), "device"},
	} {
		set := func(single bool) []byte {
			return tampered(t, test.state, func(b object) { at(b, test.whose, "method")["each_request"] = single })
		}
		if _, err := authn.Decode(set(false)); err != nil {
			t.Errorf("%s as it was is not restored", test.name)
		}
		refused(t, set(true))
	}
}

// told is a session with everything that evidence can say.
func told(t *testing.T, change func(e *authn.Evidence)) authn.State {
	t.Helper()
	e := prove(fPasskey, corpAlice, "c1", t0)
	change(&e.Evidence)
	return after(authn.Guest{}, begin(mAdmin, t0), prove(fCert, corpAlice, "", t0), issue(fPasskey, "c1", t0), e)
}

// All that a provider or a token said comes back from a store as it was.
func TestWhatIsSaidElsewhereIsRestored(t *testing.T) {
	for _, since := range []time.Time{{}, t0.Add(-time.Hour), time.Unix(0, 0).UTC(), t0.Add(time.Hour)} {
		s := told(t, func(e *authn.Evidence) {
			e.Since, e.Issuer = since, "https://login.acme.example"
			e.Handles, e.Scopes = []string{"sid:1", "sub:\"ä\""}, []string{"secrets:read", "secrets:write"}
			e.Attributes = map[string][]string{"groups": {"a", "b"}, "email": {"alice@acme.example"}, "none": {}}
		})
		got, err := authn.Decode([]byte(bytesOf(t, s)))
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("since %s: %v\n%+v\n%+v", since, err, got, s)
		}
	}
}

// Nobody fills a store with what they say: neither a factor, nor whoever writes to the store.
func TestEvidenceHasASize(t *testing.T) {
	many := func(n int) []string { return slices.Repeat([]string{strings.Repeat("x", 60)}, n) }
	for _, test := range []struct {
		name string
		say  func(e *authn.Evidence, n int)
	}{
		{"handles", func(e *authn.Evidence, n int) { e.Handles = many(n) }},
		{"scopes", func(e *authn.Evidence, n int) { e.Scopes = many(n) }},
		{"values", func(e *authn.Evidence, n int) { e.Attributes = map[string][]string{"groups": many(n)} }},
		{"attributes", func(e *authn.Evidence, n int) {
			e.Attributes = map[string][]string{}
			for i := range n {
				e.Attributes[fmt.Sprintf("%060d", i)] = nil
			}
		}},
		{"empty values", func(e *authn.Evidence, n int) { e.Handles = make([]string, 16*n) }},
		{"amr", func(e *authn.Evidence, n int) { e.AMR = many(n) }},
		{"credential", func(e *authn.Evidence, n int) { e.Credential = strings.Repeat("x", 64*n) }},
		{"key", func(e *authn.Evidence, n int) { e.Key = strings.Repeat("x", 64*n) }},
		{"issuer", func(e *authn.Evidence, n int) { e.Issuer = strings.Repeat("x", 64*n) }},
	} {
		s := told(t, func(e *authn.Evidence) { test.say(e, 250) })
		if _, err := authn.Decode([]byte(bytesOf(t, s))); err != nil {
			t.Errorf("%s that are not too many are not restored", test.name)
		}
		e := prove(fPasskey, corpAlice, "c1", t0)
		test.say(&e.Evidence, 257)
		half := after(authn.Guest{}, begin(mAdmin, t0), prove(fCert, corpAlice, "", t0), issue(fPasskey, "c1", t0))
		got, err := authn.Apply(half, e)
		if why, ok := got.Refusal(); err != nil || !ok || why != authn.ReasonEvidenceSize || authn.PositionOf(got.State) != authn.AtAuthenticating {
			t.Errorf("%s that are too many: %v, %q, %s", test.name, err, why, authn.PositionOf(got.State))
		}
		forged := tampered(t, told(t, func(*authn.Evidence) {}), func(b object) {
			raw, err := json.Marshal(e.Evidence)
			if err != nil {
				t.Fatal(err)
			}
			var o object
			if err := json.Unmarshal(raw, &o); err != nil {
				t.Fatal(err)
			}
			part(b, "person", "evidence").([]any)[1] = o
		})
		refused(t, forged)
	}
	stepped := steppedUp(t, person(), fCode, authn.Requirement{}, func(*authn.Evidence) {}, t0)
	refused(t, tampered(t, stepped, func(b object) { at(b, "person", "added", 0)["handles"] = many(300) }))
}

// However it comes about, there is a size that no record has.
func TestRecordsHaveASize(t *testing.T) {
	long := authn.Authenticating{Login: authn.Login{ID: "x", ReturnTo: strings.Repeat("x", authn.MaxRecord)}}
	if b, err := authn.Encode(long); err == nil || b != nil {
		t.Errorf("%d bytes were written", len(b))
	}
	s := after(authn.Guest{}, begin(mAdmin, t0))
	b := bytesOf(t, s)
	most := b + strings.Repeat(" ", authn.MaxRecord-len(b))
	if _, err := authn.Decode([]byte(most)); err != nil {
		t.Errorf("a record of %d bytes is not restored", len(most))
	}
	refused(t, []byte(most+" "))
}

// A million handles in a store are not read through before they are refused.
func TestForgedHandles(t *testing.T) {
	refused(t, tampered(t, person(), func(b object) {
		at(b, "person", "evidence", 1)["handles"] = make([]string, 1_000_000)
	}))
}

// What tokens allow adds up; what is said of the caller is believed of whoever said it first.
func TestScopesAndAttributes(t *testing.T) {
	p := authn.Principal{
		Evidence: []authn.Evidence{
			{Factor: "cert"},
			{Factor: "token", Scopes: []string{"read", "write", "read"}, Attributes: map[string][]string{"groups": {"staff"}, "team": {"a", "b"}}},
			{Factor: "robot", Scopes: []string{"write", "list"}, Attributes: map[string][]string{"groups": {"admins"}, "room": {"1"}}},
		},
		Added: []authn.Evidence{{Factor: "idp", Scopes: []string{"openid", "read"}, Attributes: map[string][]string{"room": {"2"}, "mail": {}, "team": nil}}},
	}
	if got, want := p.Scopes(), []string{"read", "write", "list", "openid"}; !slices.Equal(got, want) {
		t.Errorf("scopes %q, want %q", got, want)
	}
	got := p.Attributes()
	if want := map[string][]string{"groups": {"staff"}, "team": {"a", "b"}, "room": {"1"}, "mail": {}}; !reflect.DeepEqual(got, want) {
		t.Errorf("attributes %q, want %q", got, want)
	}
	got["team"][0], got["groups"] = "z", nil
	if again := p.Attributes(); again["team"][0] != "a" || again["groups"] == nil {
		t.Errorf("a caller changed what is said of the principal: %q", again)
	}
	if nobody := (authn.Principal{}); len(nobody.Scopes()) > 0 || nobody.Attributes() == nil || len(nobody.Attributes()) > 0 {
		t.Error("something is said of nobody")
	}
}

// A maximum age counts from when somebody signed in, wherever that was; and a certificate or token never counts as fresh.
func TestAgeCountsFromTheSignIn(t *testing.T) {
	hour := authn.Requirement{MaxAge: time.Hour}
	named := authn.Requirement{MaxAge: time.Hour, Factors: []string{"partner-idp"}}
	worth := authn.Requirement{MaxAge: time.Hour, AAL: 2}
	for _, test := range []struct {
		name  string
		since time.Time
		now   time.Time
		want  bool
	}{
		{"here", time.Time{}, t0, true},
		{"here, an hour ago", time.Time{}, t0.Add(time.Hour), true},
		{"here, longer ago", time.Time{}, t0.Add(time.Hour + 1), false},
		{"elsewhere, an hour ago", t0.Add(-time.Hour), t0, true},
		{"elsewhere, longer ago", t0.Add(-time.Hour - 1), t0, false},
		{"elsewhere, and an hour ago since", t0.Add(-time.Minute), t0.Add(59 * time.Minute), true},
		{"elsewhere, and longer ago since", t0.Add(-time.Minute), t0.Add(59*time.Minute + 1), false},
		{"nobody says when", time.Unix(0, 0), t0, false},
		{"in the future", t0.Add(9 * time.Hour), t0.Add(time.Hour + 1), false},
	} {
		ev := evidence(known["partner-idp"], corpAlice, t0)
		ev.Since = test.since
		all := []authn.Evidence{evidence(fCert, corpAlice, t0), ev}
		for _, r := range []authn.Requirement{hour, named, worth} {
			if r.MetBy(all, test.now) != test.want {
				t.Errorf("%s: %+v met: %v", test.name, r, !test.want)
			}
		}
		if !(authn.Requirement{AAL: 2, Factors: []string{"partner-idp"}}).MetBy(all, test.now) {
			t.Errorf("%s: any age will do, and this does not", test.name)
		}
	}
	token := evidence(fToken, corpAlice, t0)
	token.Since = t0
	if hour.MetBy([]authn.Evidence{token}, t0) {
		t.Error("a token is as good as a fresh sign-in")
	}
}

// The time at which somebody acted is that of the sign-in, and where nobody says, the one that is known.
func TestActedElsewhere(t *testing.T) {
	signIn := func(since time.Time) authn.Evidence {
		ev := evidence(known["partner-idp"], corpAlice, t0)
		ev.Since = since
		return ev
	}
	token := evidence(fToken, corpAlice, t0)
	token.Since = t0.Add(-time.Second)
	passkey := evidence(fPasskey, corpAlice, t0.Add(-time.Minute))
	made := t0.Add(time.Second)
	for _, test := range []struct {
		name  string
		shown []authn.Evidence
		want  time.Time
	}{
		{"an old sign-in", []authn.Evidence{signIn(t0.Add(-time.Hour))}, t0.Add(-time.Hour)},
		{"an old sign-in and a newer passkey", []authn.Evidence{signIn(t0.Add(-time.Hour)), passkey}, passkey.At},
		{"an old sign-in and a token", []authn.Evidence{signIn(t0.Add(-time.Hour)), token}, t0.Add(-time.Hour)},
		{"nobody says", []authn.Evidence{signIn(time.Unix(0, 0))}, made},
		{"nobody says, and a passkey", []authn.Evidence{signIn(time.Unix(0, 0).UTC()), passkey}, passkey.At},
		{"said of the future", []authn.Evidence{signIn(t0.Add(time.Hour))}, t0},
	} {
		if got := (authn.Principal{Made: made, Evidence: test.shown}).AuthenticatedAt(); !got.Equal(test.want) {
			t.Errorf("%s: acted %s, want %s", test.name, got, test.want)
		}
	}
}

// A step-up that brings an older sign-in than the one before takes nothing away.
func TestStepUpKeepsTheFresherSignIn(t *testing.T) {
	idp := known["partner-idp"]
	since := func(at time.Time) func(*authn.Evidence) { return func(e *authn.Evidence) { e.Since = at } }
	s := steppedUp(t, person(), idp, authn.Requirement{}, since(t0.Add(-time.Minute)), t0.Add(time.Minute))
	s = steppedUp(t, s, idp, authn.Requirement{}, since(t0.Add(-time.Hour)), t0.Add(2*time.Minute))
	p, _ := s.(authn.Authenticated).Person()
	fresh := authn.Requirement{MaxAge: 5 * time.Minute, Factors: []string{idp.Name}}
	if !p.Meets(fresh, t0.Add(2*time.Minute)) || len(p.Added) != 2 {
		t.Errorf("added %+v", p.Added)
	}
	s = steppedUp(t, s, idp, authn.Requirement{}, since(t0.Add(150*time.Second)), t0.Add(3*time.Minute))
	if p, _ := s.(authn.Authenticated).Person(); len(p.Added) != 1 {
		t.Errorf("what is outdone is kept: %+v", p.Added)
	}
}
