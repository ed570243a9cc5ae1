package session_test

import (
	"context"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// operation is one request that changes something. ready brings a new world up to it.
type operation struct {
	name  string
	ready func(w *world) *request
}

// request is a request that is about to be made.
type request struct {
	by     *browser     // who makes it; nil: the program
	act    func() error // makes it, once
	gained func() bool  // whether what it wants is there
	event  authn.Occurrence
	again  func() error // does it all from the start
}

// administer makes a request of the administrator root.
func (b *browser) administer(call func(context.Context, *session.Admin) error) error {
	b.w.t.Helper()
	return b.do(func(ctx context.Context, s *session.Session) error {
		a, err := s.Administer(ctx, adminFloor)
		if err != nil {
			return err
		}
		return call(ctx, a)
	})
}

func (w *world) stored(factor, id string) bool {
	_, err := w.store.Credential(context.Background(), "corp", factor, id)
	return err == nil
}

func (w *world) live(b *browser) bool {
	s, err := w.Open(context.Background(), b.request())
	return err == nil && s.State().Kind() == authn.KindAuthenticated
}

func (w *world) account(who string) session.User {
	w.t.Helper()
	u, err := w.store.User(context.Background(), w.user(who).Tenant, w.user(who).ID)
	must(w.t, err)
	return u
}

func (w *world) denied(b *browser) bool {
	all, err := w.store.ListDenials(context.Background())
	must(w.t, err)
	for _, d := range all {
		if d.Value == factors.CertificateDenials(b.chain[0])[0].Value {
			return true
		}
	}
	return false
}

var fresh = authn.Requirement{MaxAge: time.Minute}

// operations are all that gain or change something. The subject is alice of corp.
func operations() []operation {
	ctx := context.Background()
	return []operation{
		{"last step", func(w *world) *request {
			b, asked := w.halfway("corp/alice", "admin")
			k := w.passkey("corp/alice")
			answer := k.answer(w.t, asked.PublicKey)
			return &request{by: b, act: func() error { return b.verify("passkey", answer) }, gained: func() bool { return w.live(b) },
				event: authn.LoginFinished, again: func() error {
					if err := b.begin("admin"); err != nil {
						return err
					}
					return b.prove(k)
				}}
		}},
		{"certificate alone", func(w *world) *request {
			b := w.browser("corp/alice")
			act := func() error { return b.begin("badge", returning("/badge/x")) }
			return &request{by: b, act: act, gained: func() bool { return w.live(b) }, event: authn.LoginFinished, again: act}
		}},
		{"person on a kiosk", func(w *world) *request {
			k := w.passkey("corp/alice")
			b := w.browser("corp/lobby")
			must(w.t, b.begin("kiosk"))
			must(w.t, b.begin("attendant"))
			asked, err := b.challenge("passkey")
			must(w.t, err)
			answer := k.answer(w.t, asked.PublicKey)
			return &request{by: b, act: func() error { return b.verify("passkey", answer) }, event: authn.LoginFinished, gained: func() bool {
				_, ok := b.open().Person()
				return ok
			}, again: func() error {
				if err := b.begin("kiosk"); err != nil {
					return err
				}
				if err := b.begin("attendant"); err != nil {
					return err
				}
				return b.prove(k)
			}}
		}},
		{"sign-in elsewhere", func(w *world) *request {
			w.setPolicy(elsewherePolicy...)
			w.link("corp/alice", "sub-1")
			b := w.browser("corp/alice")
			must(w.t, b.begin("linked"))
			answer := elsewhereAnswer{State: b.toElsewhere("invited"), Sub: "sub-1"}
			return &request{by: b, act: func() error { _, err := b.comeBack("invited", answer); return err }, gained: func() bool { return w.live(b) },
				event: authn.LoginFinished, again: func() error {
					if err := b.begin("linked"); err != nil {
						return err
					}
					_, err := b.comeBack("invited", elsewhereAnswer{State: b.toElsewhere("invited"), Sub: "sub-1"})
					return err
				}}
		}},
		{"step-up", func(w *world) *request {
			b, k := w.login("corp/alice"), w.passkey("corp/alice")
			w.wait(2 * time.Minute)
			must(w.t, b.stepUp(fresh))
			asked, err := b.challenge("passkey")
			must(w.t, err)
			answer := k.answer(w.t, asked.PublicKey)
			return &request{by: b, act: func() error { return b.verify("passkey", answer) }, event: authn.StepUpFinished, gained: func() bool {
				b.route = "/"
				return b.open().Allows(fresh) == nil
			}, again: func() error {
				b = w.login("corp/alice")
				return nil
			}}
		}},
		{"redeem", func(w *world) *request {
			b, code := w.browser("corp/alice"), w.invite("corp/alice")
			act := func() error { return b.redeem(code) }
			return &request{by: b, act: act, gained: func() bool { return b.open().State().Kind() == authn.KindPending }, event: authn.WorkflowBegun, again: act}
		}},
		{"enrol with an invitation", func(w *world) *request {
			b, code := w.browser("corp/alice"), w.invite("corp/alice")
			must(w.t, b.redeem(code))
			asked, err := b.enrolChallenge("passkey")
			must(w.t, err)
			k := w.newKey("corp/alice", "passkey", "new")
			return &request{by: b, act: func() error { return b.enrolAnswer(k, asked) }, gained: func() bool { return w.stored("passkey", "new") },
				event: authn.CredentialAdded, again: func() error {
					if w.stored("passkey", "new") {
						return nil
					}
					if err := b.redeem(code); err != nil {
						return err
					}
					return b.enrol(k)
				}}
		}},
		{"enrol", func(w *world) *request {
			b := w.login("corp/alice")
			asked, err := b.enrolChallenge("passkey")
			must(w.t, err)
			k := w.newKey("corp/alice", "passkey", "new")
			return &request{by: b, act: func() error { return b.enrolAnswer(k, asked) }, gained: func() bool { return w.stored("passkey", "new") },
				event: authn.CredentialAdded, again: func() error {
					if w.stored("passkey", "new") {
						return nil
					}
					return b.enrol(k)
				}}
		}},
		{"remove a credential", func(w *world) *request {
			w.passkey("corp/alice")
			w.give("corp/alice", "passkey", "old")
			b := w.login("corp/alice")
			act := func() error {
				return b.do(func(ctx context.Context, s *session.Session) error { return s.RemoveCredential(ctx, "old") })
			}
			return &request{by: b, act: act, gained: func() bool { return !w.stored("passkey", "old") }, again: func() error {
				if !w.stored("passkey", "old") {
					return nil
				}
				return act()
			}}
		}},
		{"save values", func(w *world) *request {
			b := w.login("corp/alice")
			act := func() error {
				return b.do(func(ctx context.Context, s *session.Session) error { return s.SaveValues(ctx, []byte("new")) })
			}
			return &request{by: b, act: act, gained: func() bool { return w.live(b) && string(b.open().Values()) == "new" }, again: act}
		}},
		{"touch", func(w *world) *request {
			b := w.login("corp/alice")
			w.wait(5 * time.Minute)
			act := func() error { return b.do(func(context.Context, *session.Session) error { return nil }) }
			return &request{by: b, act: act, gained: func() bool { return w.live(b) }, again: act}
		}},
		{"sign out", func(w *world) *request {
			b := w.login("corp/alice")
			twin := b.twin()
			act := func() error { return b.signOut(false) }
			return &request{by: b, act: act, gained: func() bool { return !w.live(twin) }, again: act}
		}},
		{"invite", func(w *world) *request {
			b, code := w.login("corp/root"), ""
			act := func() error {
				return b.administer(func(ctx context.Context, a *session.Admin) (err error) {
					code, err = a.Invite(ctx, w.user("corp/alice").ID, 0)
					return err
				})
			}
			return &request{by: b, act: act, gained: func() bool { return code != "" }, event: session.InvitationIssued, again: act}
		}},
		{"make an administrator", func(w *world) *request {
			b := w.login("corp/root")
			act := func() error {
				return b.administer(func(ctx context.Context, a *session.Admin) error {
					return a.SetAdmin(ctx, w.user("corp/alice").ID, true)
				})
			}
			return &request{by: b, act: act, gained: func() bool { return w.account("corp/alice").Admin }, event: session.UserChanged, again: act}
		}},
		{"let in again", func(w *world) *request {
			b := w.login("corp/root")
			u := w.account("corp/alice")
			u.Status = session.Suspended
			must(w.t, w.store.SetUser(ctx, u))
			act := func() error {
				return b.administer(func(ctx context.Context, a *session.Admin) error { return a.SetStatus(ctx, u.ID, session.Active) })
			}
			return &request{by: b, act: act, gained: func() bool { return w.account("corp/alice").Status == session.Active }, event: session.UserChanged, again: act}
		}},
		{"allow a certificate", func(w *world) *request {
			b := w.login("corp/root")
			must(w.t, w.Operate("corp").DenyCertificate(ctx, w.certificate("corp/alice").Leaf, ""))
			all, err := w.store.ListDenials(ctx)
			must(w.t, err)
			act := func() error {
				return b.administer(func(ctx context.Context, a *session.Admin) error { return a.Allow(ctx, all[0].ID) })
			}
			return &request{by: b, act: act, gained: func() bool {
				all, err := w.store.ListDenials(ctx)
				return err == nil && len(all) == 0
			}, event: session.CertificateAllowed}
		}},
		{"suspend", func(w *world) *request {
			victim, b := w.login("corp/alice"), w.login("corp/root")
			act := func() error {
				return b.administer(func(ctx context.Context, a *session.Admin) error {
					return a.SetStatus(ctx, w.user("corp/alice").ID, session.Suspended)
				})
			}
			return &request{by: b, act: act, gained: func() bool { return w.account("corp/alice").Status == session.Suspended && !w.live(victim) }, again: act}
		}},
		{"deny", func(w *world) *request {
			victim, b := w.login("corp/alice"), w.login("corp/root")
			act := func() error {
				return b.administer(func(ctx context.Context, a *session.Admin) error {
					return a.Deny(ctx, factors.CertificateDenials(victim.chain[0])[0])
				})
			}
			return &request{by: b, act: act, gained: func() bool { return w.denied(victim) && !w.live(victim) }, again: act}
		}},
	}
}
