package session_test

import (
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/session"
)

const (
	oneOrigin  = "origin: https://portal.example\n"
	twoOrigins = "origins:\n  - { origin: https://portal.example }\n  - { origin: https://labs.example, tenant: labs, rp_id: labs.example }\n"
)

// A host that belongs to a tenant is for that tenant alone.
func TestOriginOfATenant(t *testing.T) {
	w := newWorld(t, oneOrigin, twoOrigins)
	corp := w.login("corp/alice")
	corp.host = "labs.example"
	wantErr(t, corp.open().Allows(), session.ErrNotAuthenticated)
	corp.host = "portal.example"
	must(t, corp.open().Allows())

	at := func(who string) *browser {
		b := w.browser(who)
		b.host = "labs.example"
		return b
	}
	wantErr(t, at("corp/bob").begin("admin"), session.ErrInvalidCredential)
	wantErr(t, at("corp/bob").begin("admin", claiming("corp", "bob")), session.ErrForbidden)
	wantErr(t, at("corp/bob").redeem(w.invite("corp/bob")), session.ErrInvalidCredential)
	b := at("labs/alice")
	must(t, b.redeem(w.invite("labs/alice")))
	k := w.newKey("labs/alice", "passkey", "labs' own")
	must(t, b.enrol(k))
	must(t, b.begin("admin"))
	must(t, b.prove(k))
	must(t, b.open().Allows())
	// Whose passkey names a user of another tenant gets no further.
	bare := at("")
	must(t, bare.begin("bare"))
	wantErr(t, bare.prove(w.passkey("corp/alice")), session.ErrInvalidCredential)
	bare.wantState(authn.KindGuest)
}

// The route that a caller wants to return to picks the method, whatever is behind its path.
func TestRouteOfAReturnWithAQuery(t *testing.T) {
	w := newWorld(t)
	for _, route := range []string{"/badge/x", "/badge/x?y=1", "/badge/x?y=%2F", "/badge/x#y", "/badge/x?y#z%2e"} {
		b := w.browser("corp/alice")
		must(t, b.begin("", returning(route)))
		a, ok := b.open().State().(authn.Authenticated)
		if !ok || a.Principal().Method.Name != "badge" {
			t.Errorf("%s: the state is %s", route, b.open().State().Kind())
		}
	}
}
