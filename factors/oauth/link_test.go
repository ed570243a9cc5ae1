package oauth_test

import (
	"errors"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/oauth"
)

// linking is the answer to a challenge for a link.
func (b *bench) linking(u factors.User) factors.Enrolment {
	b.t.Helper()
	e := factors.Enrolment{Request: b.request(u.Subject()), User: u}
	c, err := b.factor.EnrolChallenge(b.t.Context(), e)
	if err != nil {
		b.t.Fatal(err)
	}
	e.Credential, e.Challenge = returned(b.provider.signIn(c.RedirectTo).Encode(), ""), asked(c)
	return e
}

// The state of a link finishes no login, and the reverse.
func TestLinksAndLoginsAreApart(t *testing.T) {
	b := newBench(t, "")
	b.link(alice)
	e := b.linking(alice)
	_, err := b.verify(factors.Verification{Request: e.Request, Credential: e.Credential, Challenge: e.Challenge})
	if why := rejection(t, err); why != oauth.ReasonChallenge {
		t.Errorf("a link in the place of a login: %s", why)
	}
	v := b.come(alice.Subject(), nil)
	_, err = b.factor.Enrol(t.Context(), factors.Enrolment{Request: v.Request, User: alice, Credential: v.Credential, Challenge: v.Challenge})
	if why := rejection(t, err); why != oauth.ReasonChallenge {
		t.Errorf("a login in the place of a link: %s", why)
	}
	if n := b.provider.called("/token"); n != 1 {
		t.Errorf("the code was sent all the same: %d", n)
	}
}

func TestLinksThatAreRefused(t *testing.T) {
	b := newBench(t, "")
	b.link(alice)
	for name, u := range map[string]factors.User{"to the same user again": alice, "to another": bob} {
		_, err := b.factor.Enrol(t.Context(), b.linking(u))
		if why := rejection(t, err); why != oauth.ReasonLinked {
			t.Errorf("%s: %s", name, why)
		}
	}
	b.provider.sub = "bob-at-acme"
	e := b.linking(bob)
	e.User, e.Request = alice, b.request(alice.Subject())
	_, err := b.factor.Enrol(t.Context(), e)
	if why := rejection(t, err); why != oauth.ReasonChallenge {
		t.Errorf("the challenge of another user: %s", why)
	}
	e.User, e.Request = alice, b.request(bob.Subject())
	_, err = b.factor.Enrol(t.Context(), e)
	if why := rejection(t, err); why != oauth.ReasonForeignUser {
		t.Errorf("by another subject: %s", why)
	}
	e = b.linking(bob)
	b.directory.broken = errors.New("out of order")
	_, err = b.factor.Enrol(t.Context(), e)
	broken(t, "no directory", err)
	for _, class := range []authn.Class{authn.ClassDevice, authn.ClassWorkload} {
		_, err = b.factor.EnrolChallenge(t.Context(), factors.Enrolment{Request: b.request(authn.Subject{}), User: factors.User{Tenant: "acme", ID: "d-1", Class: class}})
		broken(t, "a "+class.String(), err)
	}
}

// A subject of an identity that was linked to one user is never another's, whatever the claims say.
func TestNamesLinkNobody(t *testing.T) {
	b := newBench(t, "email: verified")
	b.link(alice)
	b.provider.sub = "mallory-at-acme"
	b.provider.claims = claims(map[string]any{"preferred_username": "alice", "email": "alice@acme.example", "email_verified": true})
	_, err := b.verify(b.come(acme, nil))
	if why := rejection(t, err); why != factors.ReasonUserUnknown {
		t.Errorf("%s", why)
	}
}

// A stored credential that is another identity's is a fault of ours.
func TestAStoredCredentialThatIsAnothers(t *testing.T) {
	b := newBench(t, "")
	c := b.link(alice)
	for _, data := range []string{"", "{}", `{"v":1,"issuer":"` + b.provider.issuer + `","subject":"bob-at-acme"}`} {
		c.Data = []byte(data)
		b.directory.credentials[0] = c
		_, err := b.verify(b.come(acme, nil))
		broken(t, data, err)
	}
}

// A directory that gives what was not asked for lets nobody in.
func TestADirectoryThatGivesAnothers(t *testing.T) {
	b := newBench(t, "tenant: acme")
	good := b.link(alice)
	for name, how := range map[string]func(*factors.Credential){
		"of another tenant": func(c *factors.Credential) { c.Tenant = "globex" },
		"of another factor": func(c *factors.Credential) { c.Factor = "other" },
		"of nobody":         func(c *factors.Credential) { c.User = "" },
	} {
		c := good
		how(&c)
		b.directory.always = &c
		_, err := b.verify(b.come(authn.Subject{}, nil))
		if why := rejection(t, err); why != oauth.ReasonForeignUser {
			t.Errorf("%s: %s", name, why)
		}
	}
}
