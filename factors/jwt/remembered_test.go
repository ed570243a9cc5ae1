package jwt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
)

// remembered is a token that was taken already, and how to present it.
func remembered(t *testing.T, more string, also map[string]any) (*bench, factors.Request) {
	t.Helper()
	b := newBench(t, more)
	b.world.live["corp/u-alice/s1"] = true
	r := bearer(b.token(with(also)))
	b.good("first", r)
	if len(b.factor.verified.young) != 1 {
		t.Fatal("it was not remembered")
	}
	return b, r
}

// A token that is remembered is held to all that may have changed since.
func TestWhatIsRememberedIsChecked(t *testing.T) {
	b, r := remembered(t, "max_age: 90m", nil)
	b.good("again", r)
	b.good("at its end", later(r, time.Hour+29*time.Second))
	b.refused("over", later(r, time.Hour+30*time.Second), ReasonExpired)
	b.refused("before it was issued", later(r, -2*time.Minute), ReasonFuture)

	b, r = remembered(t, "max_age: 2m", map[string]any{"nbf": now.Add(-time.Second).Unix()})
	b.refused("too old", later(r, 61*time.Second), ReasonTooOld)
	b.refused("not yet", later(r, -32*time.Second), ReasonNotYet)

	b, r = remembered(t, "", nil)
	b.world.denied[factors.TokenDigest(issuer, "needle-jti")] = now
	b.refused("denied by id", r, factors.ReasonRevoked)

	b, r = remembered(t, "", nil)
	b.world.denied[factors.TokenDigest(issuer, "alice")] = now.Add(-2 * time.Minute)
	b.good("denied before it was issued", r)
	b.world.denied[factors.TokenDigest(issuer, "alice")] = now
	b.refused("denied by subject", r, factors.ReasonRevoked)

	b, r = remembered(t, "session: live", map[string]any{"sid": "s1"})
	b.world.live = map[string]bool{"corp/u-bob/s1": true, "acme/u-alice/s1": true}
	b.refused("its session is over", r, ReasonSession)

	b, r = remembered(t, "", nil)
	delete(b.world.users, key("corp", "alice", authn.ClassPerson))
	b.good("the user is gone, just now", later(r, 999*time.Millisecond))
	b.refused("the user is gone", later(r, time.Second), factors.ReasonUserUnknown)

	b, r = remembered(t, "", nil)
	r.Subject = authn.Subject{Tenant: "acme"}
	b.refused("in another tenant", r, factors.ReasonUserUnknown)
	b.world.add(factors.User{Tenant: "acme", ID: "u-2", Name: "alice"})
	if e := b.good("of another tenant's own", r); e.Subject.User != "u-2" {
		t.Errorf("%+v", e.Subject)
	}

	b, r = remembered(t, "", nil)
	b.world.broken = errors.New("down")
	b.broken("the lists cannot be read", r)
}

// A directory that answers with somebody else lets nobody in.
func TestTheDirectoryIsHeldToItsAnswer(t *testing.T) {
	for name, u := range map[string]factors.User{
		"another tenant": {Tenant: "acme", ID: "u", Name: "alice"}, "another name": {Tenant: "corp", ID: "u", Name: "Alice"},
		"a device":   {Tenant: "corp", ID: "u", Name: "alice", Class: authn.ClassDevice},
		"a workload": {Tenant: "corp", ID: "u", Name: "alice", Class: authn.ClassWorkload}, "nobody": {Tenant: "corp", Name: "alice"},
	} {
		b := newBench(t, "")
		b.world.users[key("corp", "alice", authn.ClassPerson)] = u
		b.broken(name, bearer(b.token(claims())))
	}
}

// What was refused is not remembered, and no more than so many are.
func TestTheCacheIsBounded(t *testing.T) {
	b := newBench(t, "")
	c := b.factor.verified
	b.refused("forged", bearer(b.signed("at+jwt", "k1", newKey(t), claims())), "token_bad_signature")
	b.refused("over", bearer(b.token(with(map[string]any{"exp": 1}))), ReasonExpired)
	b.refused("unknown", bearer(b.token(with(map[string]any{"sub": "mallory"}))), factors.ReasonUserUnknown)
	if len(c.young)+len(c.old) != 0 {
		t.Error("what was refused is remembered")
	}
	c.half = 4
	first := bearer(b.token(claims()))
	for i := range 40 {
		b.good("first", first)
		b.good("others", bearer(b.token(with(map[string]any{"jti": fmt.Sprint(i)}))))
		if n := len(c.young) + len(c.old); n > 8 {
			t.Fatalf("%d are remembered", n)
		}
		if c.get(c.name("corp", first.Carried.Token), 1) == nil {
			t.Fatal("one that is used all the time was forgotten")
		}
	}
	for n := range c.young {
		if strings.Contains(first.Carried.Token, string(n[:])) {
			t.Error("a token is remembered in plain")
		}
	}
	if a, d := c.name("a", "bc"), c.name("ab", "c"); a == d {
		t.Error("a tenant's name runs into the token")
	}
	if other := b.instance().verified; other.name("a", "b") == c.name("a", "b") {
		t.Error("another process names tokens alike")
	}
}

// The limit is what the documentation says.
func TestTheCachesSize(t *testing.T) {
	if b := newBench(t, ""); b.factor.verified.half*2 != 10_000 {
		t.Error(b.factor.verified.half)
	}
}

func TestEvidence(t *testing.T) {
	b := newBench(t, "attributes: { client: client_id, groups: groups, much: much, none: none, number: number }\nmax_age: 1h")
	also := map[string]any{"client_id": "c1", "groups": []string{"a", "b"}, "much": strings.Repeat("x", maxAttributes), "number": 1,
		"auth_time": now.Add(-30 * time.Minute).Unix(), "scope": "b a b"}
	e := b.good("good", bearer(b.token(with(also))))
	if e.Subject != alice.Subject() || e.Names.User != "alice" || e.Names.Tenant != "corp" || !e.At.Equal(now) || !e.Since.Equal(now.Add(-30*time.Minute)) || e.Issuer != issuer {
		t.Errorf("%+v", e)
	}
	if !e.Expires.Equal(now.Add(59 * time.Minute)) {
		t.Errorf("expires %v, as old as it may be by then", e.Expires)
	}
	if !slices.Equal(e.Scopes, []string{"b", "a"}) || !slices.Equal(e.AMR, []string{"jwt"}) || !strings.HasPrefix(e.Key, "jwt:") || e.Credential == "" || !e.Ambient || e.Tie != nil {
		t.Errorf("%+v", e)
	}
	if len(e.Attributes) != 2 || !slices.Equal(e.Attributes["client"], []string{"c1"}) || !slices.Equal(e.Attributes["groups"], []string{"a", "b"}) {
		t.Errorf("%v", e.Attributes)
	}
	second := b.good("another", bearer(b.token(with(map[string]any{"jti": "2"}))))
	third := b.good("without an id", bearer(b.token(with(map[string]any{"jti": nil}))))
	fourth := b.good("without an id, and of somebody else", bearer(b.token(with(map[string]any{"jti": nil, "scope": nil}))))
	if fourth.Credential == third.Credential || fourth.Key == third.Key {
		t.Error("two tokens without an id are one credential")
	}
	if second.Credential == e.Credential || third.Credential == e.Credential || third.Credential == second.Credential || len(third.Credential) != len(e.Credential) {
		t.Error("two tokens are one credential")
	}
	n := newBench(t, "identifies: nothing")
	if e := n.good("nothing", bearer(n.token(claims()))); e.Subject != (authn.Subject{}) || e.Names.User != "" {
		t.Errorf("%+v", e)
	}
}

// Many at once, with tokens and keys that change, are answered right.
func TestManyAtOnce(t *testing.T) {
	b, s := publishing(t, "")
	next := newKey(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				d := time.Duration(j) * time.Minute
				b.good("good", later(bearer(b.token(b.from(s, map[string]any{"jti": fmt.Sprint(i % 3)}))), d))
				_, err := b.verify(later(bearer(b.signed("at+jwt", "k2", next, b.from(s, nil))), d))
				var no *factors.Rejection
				if !errors.As(err, &no) || no.Reason != ReasonKey {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// No error holds a token, a claim that names its holder, or a proof.
func TestErrorsHoldNoSecrets(t *testing.T) {
	b := newBench(t, "")
	holder := newKey(t)
	good := b.token(with(map[string]any{"sub": "needle-sub", "cnf": map[string]any{"jkt": thumbprint(t, holder)}}))
	r := b.proven(good, holder, nil)
	needles := append([]string{"needle", r.Carried.Proof}, strings.Split(good, ".")...)
	needles = append(needles, strings.Split(r.Carried.Proof, ".")...)
	check := func(what string, r factors.Request) {
		t.Helper()
		_, err := b.verify(r)
		if err == nil {
			t.Errorf("%s was taken", what)
			return
		}
		for _, n := range needles {
			if len(n) > 5 && strings.Contains(err.Error(), n) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	check("an unknown user", r)
	for i := range len(good) {
		cut := r
		cut.Carried.Token = good[:i] + good[i+1:]
		check("a token without a character", cut)
	}
	proof := r.Carried.Proof
	b.world.add(factors.User{Tenant: "corp", ID: "u-n", Name: "needle-sub"})
	for i := range len(proof) {
		cut := r
		cut.Carried.Proof = proof[:i] + proof[i+1:]
		check("a proof without a character", cut)
	}
	b.good("whole", r)
}
