package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/session"
)

// A thousand logins that are only begun hide a session from its owner and from the administrator.
func TestLoginsHideNoSession(t *testing.T) {
	w := newWorld(t)
	thief := w.login("corp/alice")
	id := thief.open().ID()
	w.wait(time.Second)
	owner := w.login("corp/alice")
	root := w.login("corp/root")
	root.route = "/admin/x"
	w.wait(time.Second)
	for range 1000 {
		must(t, w.browser("corp/alice").begin("admin"))
	}
	must(t, owner.do(func(ctx context.Context, s *session.Session) error {
		list, err := s.Sessions(ctx)
		if len(list) != 2 {
			t.Errorf("the owner sees %d sessions of 2", len(list))
		}
		return err
	}))
	if err := owner.do(func(ctx context.Context, s *session.Session) error { return s.RevokeSession(ctx, id) }); err != nil {
		t.Errorf("the owner cannot end it: %v", err)
	}
	must(t, root.administer(func(ctx context.Context, a *session.Admin) error {
		list, err := a.Sessions(ctx, "")
		if len(list) != 2 {
			t.Errorf("the administrator sees %d sessions of 2", len(list))
		}
		if err := a.EndSession(ctx, owner.open().ID()); err != nil {
			t.Errorf("the administrator cannot end one: %v", err)
		}
		return err
	}))
	thief.wantState(authn.KindGuest)
}
