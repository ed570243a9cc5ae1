package session_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

func TestInvitationsThatAreRefused(t *testing.T) {
	ctx := context.Background()
	spent := func(w *world) string {
		code := w.invite("corp/alice")
		b := w.browser("corp/alice")
		must(w.t, b.redeem(code))
		must(w.t, b.enrol(w.newKey("corp/alice", "passkey", "spent")))
		return code
	}
	for _, c := range []struct {
		name string
		cert string
		code func(w *world) string
		want error
		log  string // tenant whose trail tells
		why  authn.Reason
	}{
		{"open", "corp/alice", func(w *world) string { return w.invite("corp/alice") }, nil, "", ""},
		{"typed by hand", "corp/alice", func(w *world) string {
			return " " + lower(w.invite("corp/alice")) + " "
		}, nil, "", ""},
		{"spent", "corp/alice", spent, session.ErrInvalidCredential, "corp", session.ReasonInvitationNotOpen},
		{"expired", "corp/alice", func(w *world) string {
			code := w.invite("corp/alice")
			w.wait(session.DefaultInvitationLife)
			return code
		}, session.ErrInvalidCredential, "corp", session.ReasonInvitationNotOpen},
		{"withdrawn", "corp/alice", func(w *world) string {
			code := w.invite("corp/alice")
			all, err := w.Operate("corp").Invitations(ctx)
			must(w.t, err)
			must(w.t, w.Operate("corp").RevokeInvitation(ctx, all[0].ID))
			return code
		}, session.ErrInvalidCredential, "corp", session.ReasonInvitationNotOpen},
		{"replaced", "corp/alice", func(w *world) string {
			code := w.invite("corp/alice")
			w.invite("corp/alice")
			return code
		}, session.ErrInvalidCredential, "corp", session.ReasonInvitationNotOpen},
		{"bob's", "corp/alice", func(w *world) string { return w.invite("corp/bob") }, session.ErrInvalidCredential, "corp", session.ReasonInvitationForeign},
		{"of alice of labs", "corp/alice", func(w *world) string { return w.invite("labs/alice") }, session.ErrInvalidCredential, "corp", session.ReasonInvitationForeign},
		{"unknown", "corp/alice", func(*world) string { return "00000-00000-00000-00000-00000" }, session.ErrInvalidCredential, "corp", session.ReasonInvitationUnknown},
		{"empty", "corp/alice", func(*world) string { return "" }, session.ErrInvalidCredential, "corp", session.ReasonInvitationUnknown},
		{"without a certificate", "", func(w *world) string { return w.invite("corp/alice") }, session.ErrCertificateRequired, "", ""},
		{"of a suspended user", "corp/alice", func(w *world) string {
			code := w.invite("corp/alice")
			must(w.t, w.Operate("corp").SetStatus(ctx, w.user("corp/alice").ID, session.Suspended))
			return code
		}, session.ErrInvalidCredential, "corp", session.ReasonUserSuspended},
		{"of a suspended tenant", "corp/alice", func(w *world) string {
			code := w.invite("corp/alice")
			must(w.t, w.Operate("corp").SetTenantStatus(ctx, session.Suspended))
			return code
		}, session.ErrInvalidCredential, "corp", session.ReasonTenantSuspended},
		{"with a denied certificate", "corp/alice", func(w *world) string {
			must(w.t, w.Operate("corp").DenyCertificate(ctx, w.certificate("corp/alice").Leaf, ""))
			return w.invite("corp/alice")
		}, session.ErrInvalidCredential, "", factors.ReasonRevoked},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			code := c.code(w)
			b := w.browser(c.cert)
			wantErr(t, b.redeem(code), c.want)
			if c.want == nil {
				b.wantState(authn.KindPending)
				return
			}
			b.wantState(authn.KindGuest)
			if c.why != "" {
				w.wantEvent(c.log, session.InvitationRefused, c.why)
			}
		})
	}
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// What was lost between redeeming and storing the credential is found when it is stored.
func TestEnrolmentIsCheckedAtTheEnd(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name   string
		change func(w *world, code string)
		want   error
	}{
		{"nothing", func(*world, string) {}, nil},
		{"spent elsewhere", func(w *world, code string) {
			b := w.browser("corp/alice")
			must(w.t, b.redeem(code))
			must(w.t, b.enrol(w.newKey("corp/alice", "passkey", "elsewhere")))
		}, session.ErrWrongStep}, // whoever enrolled ended what else was going on
		{"moved to another workflow", func(w *world, code string) { must(w.t, w.browser("corp/alice").redeem(code)) }, session.ErrConflict},
		{"withdrawn", func(w *world, _ string) {
			all, err := w.Operate("corp").Invitations(ctx)
			must(w.t, err)
			must(w.t, w.Operate("corp").RevokeInvitation(ctx, all[0].ID))
		}, session.ErrConflict},
		{"user suspended", func(w *world, _ string) {
			must(w.t, w.Operate("corp").SetStatus(ctx, w.user("corp/alice").ID, session.Suspended))
		}, session.ErrNotAuthenticated},
		{"tenant suspended", func(w *world, _ string) {
			must(w.t, w.store.SetTenantStatus(ctx, "corp", session.Suspended, w.clock()))
		}, session.ErrNotAuthenticated},
		{"too late", func(w *world, _ string) { w.wait(5*time.Minute + time.Second) }, session.ErrInvalidCredential},
		{"much too late", func(w *world, _ string) { w.wait(time.Hour) }, session.ErrLoginExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			code := w.invite("corp/alice")
			b := w.browser("corp/alice")
			must(t, b.redeem(code))
			asked, err := b.enrolChallenge("passkey")
			must(t, err)
			c.change(w, code)
			err = b.enrolAnswer(w.newKey("corp/alice", "passkey", "k1"), asked)
			if c.want == session.ErrWrongStep && errors.Is(err, session.ErrNotAuthenticated) {
				err = session.ErrWrongStep // the row has ended: nobody is there
			}
			wantErr(t, err, c.want)
			_, err = w.store.Credential(ctx, "corp", "passkey", "k1")
			if stored := err == nil; stored != (c.want == nil) {
				t.Errorf("stored: %v", stored)
			}
		})
	}
}

func TestEnrolmentNeedsTheLevel(t *testing.T) {
	w := newWorld(t)
	k := w.passkey("corp/alice")
	code := w.give("corp/alice", "code", "c1")
	w.give("corp/alice", "passkey", "second")
	weak := w.browser("corp/alice")
	must(t, weak.begin("flexible", returning("/admin/x")))
	must(t, weak.prove(code))
	weak.wantState(authn.KindAuthenticated)
	_, err := weak.enrolChallenge("passkey")
	wantAs[*session.InsufficientError](t, err)
	wantAs[*session.InsufficientError](t, weak.do(func(ctx context.Context, s *session.Session) error { return s.RemoveCredential(ctx, k.id) }))
	must(t, weak.stepUp(adminFloor))
	must(t, weak.prove(k))
	asked, err := weak.enrolChallenge("passkey")
	must(t, err)
	// What was allowed when it was asked must be allowed when it is answered, or nearly.
	w.wait(11 * time.Minute)
	wantAs[*session.InsufficientError](t, weak.enrolAnswer(w.newKey("corp/alice", "passkey", "k2"), asked))
	// Ambient evidence alone is never fresh.
	badge := w.browser("corp/alice")
	must(t, badge.begin("badge", returning("/badge/x")))
	_, err = badge.enrolChallenge("passkey")
	wantAs[*session.InsufficientError](t, err)
}

func TestCredentialOfSomebodyElse(t *testing.T) {
	w := newWorld(t)
	b, bobs := w.login("corp/alice"), w.passkey("corp/bob")
	must(t, b.enrol(w.newKey("corp/alice", "passkey", "k2")))
	wantErr(t, b.do(func(ctx context.Context, s *session.Session) error { return s.RemoveCredential(ctx, bobs.id) }), session.ErrNotFound)
	wantErr(t, b.do(func(ctx context.Context, s *session.Session) error { return s.RenameCredential(ctx, bobs.id, "mine") }), session.ErrNotFound)
	// The id of a credential that another user has, of whatever tenant.
	wantErr(t, b.enrol(w.newKey("corp/alice", "passkey", bobs.id)), session.ErrConflict)
	wantErr(t, b.enrol(w.newKey("corp/alice", "passkey", w.passkey("labs/alice").id)), session.ErrConflict)
	b.wantState(authn.KindAuthenticated)
}

func TestInvitationOnceAtTheSameMoment(t *testing.T) {
	w := newWorld(t)
	code := w.invite("corp/alice")
	type ready struct {
		b     *browser
		asked session.Asking
	}
	var all []ready
	for range 20 {
		b := w.browser("corp/alice")
		must(t, b.redeem(code))
		asked, err := b.enrolChallenge("passkey")
		must(t, err)
		all = append(all, ready{b, asked})
	}
	var wg sync.WaitGroup
	start := make(chan struct{})
	errs := make([]error, len(all))
	for i, r := range all {
		k := w.newKey("corp/alice", "passkey", fmt.Sprint("k", i))
		s, answer := r.b.open(), k.answer(t, r.asked.PublicKey)
		wg.Go(func() {
			<-start
			_, errs[i] = s.Enrol(context.Background(), "passkey", "", answer)
		})
	}
	close(start)
	wg.Wait()
	stored, err := w.Operate("corp").Credentials(context.Background(), w.user("corp/alice").ID)
	must(t, err)
	for i, err := range errs {
		if (err == nil) != (len(stored) == 1 && stored[0].ID == fmt.Sprint("k", i)) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if len(stored) > 1 {
		t.Errorf("%d passkeys came of one invitation", len(stored))
	}
}
