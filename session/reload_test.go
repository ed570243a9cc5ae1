package session_test

import (
	"context"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/session"
)

// A factor leaves the policy; what a step-up won with it still meets requirements.
func TestEvidenceOfAFactorThatLeft(t *testing.T) {
	with := []string{"  code:    { kind: typed }\n", "  code:    { kind: typed }\n  extra:   { kind: typed, strong: true }\n",
		"  bare:      { steps: [passkey] }\n", "  bare:      { steps: [{ any_of: [passkey, extra] }] }\n"}
	w := newWorld(t, with...)
	code, extra := w.give("corp/alice", "code", "c1"), w.give("corp/alice", "passkey", "p1")
	extra.factor = "extra"
	u := w.account("corp/alice")
	must(t, w.store.Enrol(context.Background(), session.Enrolled{At: w.clock(), Epoch: u.Epoch, Credential: factors.Credential{Tenant: u.Tenant, User: u.ID, Factor: "extra", Kind: "typed", ID: "p1", Name: "p1",
		Data: []byte(`{"secret":"` + extra.secret + `"}`), Best: authn.Strength{Category: authn.Have, PhishingResistant: true, UserVerified: true}, Created: w.clock(), Version: 1}}))
	b := w.browser("")
	must(t, b.begin("open", claiming("corp", "alice")))
	must(t, b.prove(code))
	must(t, b.stepUp(authn.Requirement{Factors: []string{"extra"}}))
	must(t, b.prove(extra))
	b.route = "/open/x"
	want := authn.Requirement{AAL: 2, PhishingResistant: true}
	must(t, b.open().Allows(want))
	w.setPolicy() // extra is no more: nobody trusts it
	if b.open().Allows(want) == nil {
		t.Error("evidence of a factor that the policy no longer has meets a floor")
	}
}

// The method leaves the policy while its last step is verified.
func TestMethodLeavesDuringTheLastStep(t *testing.T) {
	w := newWorld(t)
	b, asked := w.halfway("corp/alice", "admin")
	w.kind.hook = func() {
		w.setPolicy("{ route: /admin/*, methods: [admin, flexible, partner] }", "{ route: /admin/*, methods: [flexible, partner] }",
			"  - { methods: [admin] }", "  - { methods: [flexible] }")
	}
	err := b.verify("passkey", w.passkey("corp/alice").answer(t, asked.PublicKey))
	w.kind.hook = nil
	if err == nil {
		t.Errorf("a login by a method that is no longer on offer was finished: %s", b.open().State().Kind())
	}
}

// The method got another step; sessions by the old one pass its guard.
func TestMethodGotAnotherStep(t *testing.T) {
	w := newWorld(t)
	b := w.browser("corp/alice")
	must(t, b.begin("badge", returning("/badge/x")))
	b.route = "/badge/x"
	must(t, b.open().Allows())
	w.setPolicy("badge:     { steps: [device] }", "badge:     { steps: [device, passkey] }")
	if b.open().Allows() == nil {
		t.Error("a session of one step passes where the method in force has two")
	}
}
