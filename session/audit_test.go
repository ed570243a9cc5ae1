package session_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
	"github.com/sallyport-auth/sallyport/session"
)

// needles are things that no log may hold.
type needles map[string]string

func (n needles) cookie(name, v string) {
	selector, secret, _ := strings.Cut(v, ".")
	n[name+", secret"], n[name+", selector"] = secret, selector
}

func (n needles) in(t *testing.T, where, text string) {
	t.Helper()
	for name, needle := range n {
		if len(needle) >= 6 && strings.Contains(text, needle) {
			t.Errorf("%s holds the %s", where, name)
		}
	}
}

// Everything that a caller may send or hold goes through once, good and bad, and is looked for in the audit trail and the log.
func TestNothingSecretIsWrittenDown(t *testing.T) {
	w := portal(t)
	ctx := context.Background()
	n := needles{}
	code := w.invite("corp/alice")
	n["invitation"], n["invitation without hyphens"], n["invitation in part"] = code, strings.ReplaceAll(code, "-", ""), code[:11]
	cert := w.certificate("corp/alice")
	n["certificate"], n["certificate in base64"] = string(cert.Leaf.Raw), base64.StdEncoding.EncodeToString(cert.Leaf.Raw)[:64]
	n["certificate's name"] = "spiffe://"
	sum := sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
	n["key's digest"] = hex.EncodeToString(sum[:])
	n["typed password"] = "hunter2-in-the-wrong-field"

	a := fido2test.New("https://portal.example")
	b := w.browser("corp/alice")
	wantErr(t, b.redeem("11111-22222-33333"), session.ErrInvalidCredential)
	n["guessed invitation"] = "11111-22222-33333"
	must(t, b.redeem(code))
	n.cookie("cookie of a workflow", b.cookie)
	must(t, b.create(a))
	n["passkey"] = base64.RawURLEncoding.EncodeToString(a.Passkeys()[0].ID)
	n["user handle"] = base64.RawURLEncoding.EncodeToString(a.Passkeys()[0].Handle)
	must(t, b.begin("admin", claiming("corp", n["typed password"])))
	n.cookie("cookie of a login", b.cookie)
	asked, err := b.challenge("passkey")
	must(t, err)
	answer := b.get(a, asked)
	var sent struct {
		Response map[string]string `json:"response"`
	}
	must(t, json.Unmarshal(answer, &sent))
	for name, v := range sent.Response {
		n["answer's "+name] = v
	}
	wantErr(t, b.verify("passkey", bytes.Replace(answer, []byte(sent.Response["signature"]), []byte(sent.Response["signature"][:40]), 1)), session.ErrInvalidCredential)
	asked, err = b.challenge("passkey")
	must(t, err)
	must(t, b.verify("passkey", b.get(a, asked)))
	n.cookie("cookie of a session", b.cookie)
	must(t, b.do(func(ctx context.Context, s *session.Session) error {
		return s.SaveValues(ctx, []byte("value-of-the-application"))
	}))
	n["application's value"] = "value-of-the-application"
	stolen := b.twin()
	stolen.chain = nil
	stolen.wantState(authn.KindGuest)
	open := w.browser("")
	must(t, open.begin("open", claiming("corp", n["typed password"])))
	asked, err = open.challenge("code")
	must(t, err)
	wantErr(t, open.verify("code", []byte(`{"secret":"typed-secret-text","nonce":`+string(asked.PublicKey)+`}`)), session.ErrInvalidCredential)
	n["typed secret"], n["nonce"] = "typed-secret-text", strings.Trim(string(asked.PublicKey), `"`)
	must(t, w.Operate("corp").DenyCertificate(ctx, cert.Leaf, "lost"))
	b.wantState(authn.KindGuest)
	wantErr(t, w.browser("corp/alice").begin("admin"), session.ErrInvalidCredential)

	for _, tenant := range []string{"corp", ""} {
		all, err := json.Marshal(w.events(tenant))
		must(t, err)
		n.in(t, "the audit trail", string(all))
	}
	n.in(t, "the log", w.log.String())
	if !strings.Contains(w.log.String(), string(authn.LoginFinished)) {
		t.Error("the log has no events at all")
	}
}

// A name that belongs to nobody is written as a keyed hash, the same for the same name.
func TestUnmatchedNames(t *testing.T) {
	w := newWorld(t)
	b := w.browser("corp/lobby")
	for _, name := range []string{"one-name", "one-name", "other-name"} {
		wantErr(t, b.begin("admin", claiming("corp", name)), session.ErrInvalidCredential)
	}
	var names []string
	for _, e := range w.events("") {
		if e.What == authn.FactorFailed {
			names = append(names, e.Name)
		}
	}
	if len(names) != 3 || names[0] != names[1] || names[0] == names[2] || !strings.HasPrefix(names[0], "name:") {
		t.Errorf("the names are %q", names)
	}
}

func TestSinkGetsWhatIsStored(t *testing.T) {
	w := newWorld(t)
	var got []session.Event
	e, err := session.New(session.Config{Policy: w.Policy(), Kinds: w.kinds(), Store: w.hooked(), Now: w.clock, Sink: func(_ context.Context, ev session.Event) { got = append(got, ev) }})
	must(t, err)
	w.Engine = e
	w.login("corp/alice")
	for _, ev := range got {
		if ev.ID == "" || ev.At.IsZero() || time.Since(ev.At) > time.Hour {
			t.Errorf("event %+v", ev)
		}
	}
	if len(got) == 0 {
		t.Error("the sink got nothing")
	}
}

// What is refused without a word in the audit log.
func TestRefusalsAreAudited(t *testing.T) {
	w := newWorld(t)
	bob := w.login("corp/bob")
	bob.route = "/admin/x"
	all := func() int { return len(w.events("corp")) + len(w.events("")) }
	n := all()
	wantErr(t, bob.administer(func(context.Context, *session.Admin) error { return nil }), session.ErrForbidden)
	if all() == n {
		t.Error("somebody who is no administrator tried to be one: no event")
	}
	n = all()
	r := w.browser("").request()
	r.PeerRefused = errors.New("two headers")
	s, err := w.Open(context.Background(), r)
	must(t, err)
	wantErr(t, s.Begin(context.Background(), session.Begin{Method: "admin"}), session.ErrBadRequest)
	if all() == n {
		t.Error("a certificate that the middleware refused: no event")
	}
	b := w.browser("corp/alice")
	must(t, b.begin("admin"))
	n = all()
	wantErr(t, b.verify("code", []byte("{}")), session.ErrWrongStep)
	if all() == n {
		t.Error("a step out of order: no event")
	}
}

// Audit of sign-out, when the row went first.
func TestSuspensionIsAudited(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	id := b.open().ID()
	n := len(w.events("corp"))
	must(t, w.Operate("corp").SetStatus(context.Background(), w.user("corp/alice").ID, session.Suspended))
	for _, e := range w.events("corp")[n:] {
		if e.Session == id || e.What == session.SessionRevoked || e.What == authn.SessionEnded {
			return
		}
	}
	t.Error("the suspension ended a session; the log has no session.* event")
}

// A challenge is answered a second time, and the audit log says nothing of it.
func TestReplayIsAudited(t *testing.T) {
	w := newWorld(t)
	b, asked := w.halfway("corp/alice", "admin")
	answer := w.passkey("corp/alice").answer(t, asked.PublicKey)
	first, second := b.open(), b.open()
	must(t, first.Verify(context.Background(), "passkey", answer))
	before := len(w.events("corp")) + len(w.events(""))
	wantErr(t, second.Verify(context.Background(), "passkey", answer), session.ErrWrongStep)
	if len(w.events("corp"))+len(w.events("")) == before {
		t.Error("a replayed answer left nothing in the audit log")
	}
}

// An invitation ends the user's other sessions, and nobody can find out.
func TestEndedSessionsAreAudited(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	id := b.open().ID()
	n := w.browser("corp/alice")
	must(t, n.redeem(w.invite("corp/alice")))
	before := len(w.events("corp"))
	must(t, n.enrol(w.newKey("corp/alice", "passkey", "new")))
	b.wantState(authn.KindGuest)
	for _, e := range w.events("corp")[before:] {
		if e.What == session.SessionRevoked || e.What == authn.SessionEnded || e.Session == id {
			return
		}
	}
	t.Error("a session was ended and the audit log does not say so")
}

// A person's running step-up and Redeem.
func TestRedeemInsideASession(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	right := b.twin().redeem(w.invite("corp/alice"))
	wrong := b.twin().redeem("AAAAA-BBBBB")
	if fmt.Sprint(right) != fmt.Sprint(wrong) {
		t.Errorf("a signed-in caller tells a right code (%v) from a wrong one (%v)", right, wrong)
	}
	if n := w.count("corp", session.InvitationRefused); n != 2 {
		t.Errorf("%d refusals in the log, want 2", n)
	}
}

// A login that begins with a certificate is found with whom the certificate names, from its beginning.
func TestBegunLoginsAreTheirTenants(t *testing.T) {
	w := newWorld(t)
	b := w.browser("corp/alice")
	must(t, b.begin("admin"))
	if ev := w.wantEvent("corp", authn.LoginBegun, ""); ev.User != w.user("corp/alice").ID || ev.Name != "alice" {
		t.Errorf("%+v", ev)
	}
	must(t, b.begin("badge", returning("/badge/x"))) // is finished at once
	if ev := w.wantEvent("corp", authn.LoginBegun, ""); ev.Method != "badge" || ev.Name != "alice" {
		t.Errorf("%+v", ev)
	}
	must(t, w.browser("").begin("open", claiming("corp", "alice"))) // a claim proves nothing
	if ev := w.wantEvent("", authn.LoginBegun, ""); ev.User != "" || ev.Name != "" {
		t.Errorf("%+v", ev)
	}
}

// People who sign out are no warning.
func TestOrdinaryReasonsAreNoWarnings(t *testing.T) {
	w := newWorld(t)
	b := w.login("corp/alice")
	must(t, b.begin("admin"))
	must(t, b.do(func(ctx context.Context, s *session.Session) error { return s.Cancel(ctx) }))
	must(t, b.signOut(false))
	if log := w.log.String(); strings.Contains(log, "level=WARN") || !strings.Contains(log, "reason=signed_out") {
		t.Error(log)
	}
}

// A cookie without its certificate is written down once in a while, and not with every request.
func TestRefusalsDoNotFloodTheLog(t *testing.T) {
	w := newWorld(t)
	stolen, other := w.login("corp/alice"), w.login("corp/bob")
	stolen.chain, other.chain = nil, nil
	for range 20 {
		stolen.wantState(authn.KindGuest)
		other.wantState(authn.KindGuest)
	}
	if n := w.count("corp", session.SessionRefused); n != 2 {
		t.Errorf("%d events, want one for each session", n)
	}
	stolen.present(w.certificate("corp/bob")) // for another reason
	stolen.wantState(authn.KindGuest)
	w.wait(time.Minute)
	stolen.wantState(authn.KindGuest)
	if n := w.count("corp", session.SessionRefused); n != 4 {
		t.Errorf("%d events, want 4", n)
	}
}
