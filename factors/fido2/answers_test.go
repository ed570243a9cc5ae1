package fido2_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors"
	"github.com/sallyport-auth/sallyport/factors/fido2"
	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
)

// answer makes a login's challenge and a good answer to it.
func (b *bench) answer(a *fido2test.Authenticator, s authn.Subject) factors.Verification {
	b.t.Helper()
	c := b.challenge(s)
	credential, err := a.Get(c.PublicKey)
	if err != nil {
		b.t.Fatal(err)
	}
	return factors.Verification{Request: b.request(s), Credential: credential, Challenge: b.asked(c)}
}

func (b *bench) verify(v factors.Verification) error {
	_, err := b.factor.Verify(context.Background(), v)
	return err
}

func TestRequestOptions(t *testing.T) {
	b := newBench(t, ", timeout: 90s")
	a := fido2test.New(origin)
	first := b.enrol(a, b.alice)
	second := b.enrol(a, b.alice)
	second.Flagged = "lost"
	b.directory.credentials[1] = second
	c := b.challenge(b.alice.Subject())
	var got map[string]any
	if err := json.Unmarshal(c.PublicKey, &got); err != nil {
		t.Fatal(err)
	}
	challenge, err := base64.RawURLEncoding.DecodeString(fmt.Sprint(got["challenge"]))
	if err != nil || len(challenge) != 32 {
		t.Errorf("challenge %v: %v", got["challenge"], err)
	}
	delete(got, "challenge")
	want := map[string]any{"rpId": "portal.example", "timeout": 90000.0, "userVerification": "required",
		"allowCredentials": []any{map[string]any{"type": "public-key", "id": first.ID, "transports": []any{"internal"}}}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if c.Lifetime != 90*time.Second || c.RedirectTo != "" || len(c.Data) == 0 {
		t.Errorf("%+v", c)
	}
}

func TestCreationOptions(t *testing.T) {
	b := newBench(t, ", rp_name: Portal, authenticator_attachment: cross-platform, algorithms: [ES256, RS256]")
	had := b.enrol(fido2test.New(origin), b.alice)
	b.alice.Display = "Alice A."
	c, err := b.factor.EnrolChallenge(context.Background(), factors.Enrolment{Request: b.request(b.alice.Subject()), User: b.alice, Existing: []factors.Credential{had}})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(c.PublicKey, &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "challenge")
	want := map[string]any{
		"rp":                     map[string]any{"id": "portal.example", "name": "Portal"},
		"user":                   map[string]any{"id": base64.RawURLEncoding.EncodeToString(b.alice.Handle), "name": "alice", "displayName": "Alice A."},
		"pubKeyCredParams":       []any{map[string]any{"type": "public-key", "alg": -7.0}, map[string]any{"type": "public-key", "alg": -257.0}},
		"timeout":                300000.0,
		"excludeCredentials":     []any{map[string]any{"type": "public-key", "id": had.ID, "transports": []any{"internal"}}},
		"authenticatorSelection": map[string]any{"authenticatorAttachment": "cross-platform", "requireResidentKey": true, "residentKey": "required", "userVerification": "required"},
		"attestation":            "none",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestEvidence(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	c := b.enrol(a, b.alice)
	b.directory.credentials[0].Version = 7
	v, err := b.login(a, authn.Subject{Tenant: "corp"})
	if err != nil {
		t.Fatal(err)
	}
	want := authn.Evidence{Factor: "passkey", Kind: "fido2", Subject: b.alice.Subject(), Names: authn.Names{Tenant: "corp", User: "alice"},
		Credential: c.ID, Key: keyName(t, a), AMR: []string{"hwk", "user"}, At: b.now,
		Strength: authn.Strength{Category: authn.Have, PhishingResistant: true, UserVerified: true}}
	if fmt.Sprintf("%+v", v.Evidence) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", v.Evidence, want)
	}
	if u := v.Update; u == nil || u.Version != 7 || u.ID != c.ID || !u.Used.Equal(b.now) || bytes.Equal(u.Data, c.Data) || u.User != b.alice.ID {
		t.Errorf("update %+v", v.Update)
	}
}

func TestChallengesRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(b *bench, v *factors.Verification)
		want authn.Reason
	}{
		{"at its last moment", func(b *bench, v *factors.Verification) { v.Now = b.now.Add(5*time.Minute - 1) }, ""},
		{"too late", func(b *bench, v *factors.Verification) { v.Now = b.now.Add(5 * time.Minute) }, authn.ReasonChallengeLate},
		{"too late, and the engine did not see", func(b *bench, v *factors.Verification) {
			v.Now, v.Challenge.Expires = b.now.Add(5*time.Minute), time.Time{}
		}, authn.ReasonChallengeLate},
		{"of another login", func(b *bench, v *factors.Verification) { v.Challenge = b.asked(b.challenge(authn.Subject{})) }, fido2.ReasonChallenge},
		{"of another user", func(b *bench, v *factors.Verification) { v.Challenge = b.asked(b.challenge(b.bob.Subject())) }, fido2.ReasonChallenge},
		{"of another tenant", func(b *bench, v *factors.Verification) {
			v.Challenge = b.asked(b.challenge(authn.Subject{Tenant: "labs"}))
		}, fido2.ReasonChallenge},
		{"none", func(_ *bench, v *factors.Verification) { v.Challenge.Data = nil }, fido2.ReasonChallenge},
		{"damaged", func(_ *bench, v *factors.Verification) { v.Challenge.Data = []byte("{") }, fido2.ReasonChallenge},
		{"empty", func(_ *bench, v *factors.Verification) { v.Challenge.Data = []byte("{}") }, fido2.ReasonChallenge},
		{"made on another origin of the relying party", func(b *bench, v *factors.Verification) { v.Origin = b.other }, fido2.ReasonOrigin},
		{"on the origin of another tenant", func(_ *bench, v *factors.Verification) { v.Origin.Tenant = "labs" }, fido2.ReasonForeignUser},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, "")
			a := fido2test.New(origin)
			b.enrol(a, b.alice)
			v := b.answer(a, b.alice.Subject())
			tt.do(b, &v)
			err := b.verify(v)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			b.refused(err, tt.want)
		})
	}
}

// TestEveryOriginOfTheRelyingParty: a passkey made on one of them works on all.
func TestEveryOriginOfTheRelyingParty(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	b.origin = b.other
	a.Origin = b.other.URL
	if _, err := b.login(a, authn.Subject{}); err != nil {
		t.Fatal(err)
	}
	a.Origin = origin // and is not answered from another than it was asked on
	_, err := b.login(a, authn.Subject{})
	b.refused(err, fido2.ReasonOrigin)
}

func TestFramesAreRefused(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	a.CrossOrigin = true
	_, err := b.login(a, authn.Subject{})
	b.refused(err, fido2.ReasonOrigin)
	_, err = b.tryEnrol(a, b.bob)
	b.refused(err, fido2.ReasonOrigin)
}

func TestCounter(t *testing.T) {
	value := func(n uint32) *uint32 { return &n }
	for _, tt := range []struct {
		had, says uint32
		ok        bool
	}{{0, 0, true}, {0, 1, true}, {5, 6, true}, {5, 5, false}, {5, 4, false}, {5, 0, false}, {1<<32 - 1, 1<<32 - 1, false}, {1<<32 - 1, 1, false}} {
		t.Run(fmt.Sprintf("%d then %d", tt.had, tt.says), func(t *testing.T) {
			b := newBench(t, "")
			a := fido2test.New(origin)
			a.Counter = value(tt.had)
			b.enrol(a, b.alice)
			a.Counter = value(tt.says)
			v, err := b.login(a, authn.Subject{})
			if tt.ok {
				if err != nil || v.Update == nil {
					t.Fatal(err)
				}
				return
			}
			r := b.refused(err, fido2.ReasonCounter)
			if r.Flag == nil || r.Flag.ID != b.directory.credentials[0].ID || r.Flag.Tenant != "corp" {
				t.Fatalf("flag %+v", r.Flag)
			}
			a.Counter, a.BadSignature = value(tt.says), true // a forger cannot have it flagged
			_, err = b.login(a, authn.Subject{})
			if r := b.refused(err, fido2.ReasonSignature); r.Flag != nil {
				t.Fatal("flagged without a signature")
			}
		})
	}
}

func TestFlaggedIsNotListed(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	v := b.answer(a, b.alice.Subject())
	b.directory.credentials[0].Flagged = fido2.ReasonCounter // between begin and finish
	b.refused(b.verify(v), factors.ReasonFlagged)
	if list := b.challenge(b.alice.Subject()).PublicKey; bytes.Contains(list, []byte("allowCredentials")) {
		t.Errorf("listed: %s", list)
	}
}

// TestHandleMayBeMissingOnlyWhereCredentialsWereListed is WebAuthn L3 section 7.2 step 6.
func TestHandleMayBeMissingOnlyWhereCredentialsWereListed(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	a.NoHandle = true
	if _, err := b.login(a, b.alice.Subject()); err != nil {
		t.Fatal(err)
	}
	_, err := b.login(a, authn.Subject{Tenant: "corp"})
	b.refused(err, fido2.ReasonNoHandle)
	v := b.answer(a, b.alice.Subject())
	b.enrol(fido2test.New(origin), b.alice)
	later := fido2test.New(origin)
	b.enrol(later, b.alice)
	later.NoHandle = true
	other := b.answer(later, b.alice.Subject()) // not among those that v's challenge lists
	var signed, listed map[string]any
	if json.Unmarshal(other.Challenge.Data, &signed) != nil || json.Unmarshal(v.Challenge.Data, &listed) != nil {
		t.Fatal("the state is no JSON")
	}
	signed["session"].(map[string]any)["allowed_credentials"] = listed["session"].(map[string]any)["allowed_credentials"]
	other.Challenge.Data, _ = json.Marshal(signed)
	b.refused(b.verify(other), fido2.ReasonUnknown)
}

// TestManyCredentials: however many a user has, what is kept stays small and any of them works.
func TestManyCredentials(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	for range 400 {
		b.enrol(a, b.alice)
	}
	c := b.challenge(b.alice.Subject())
	if len(c.Data) > 16<<10 {
		t.Errorf("%d bytes are to be kept", len(c.Data))
	}
	if _, err := b.login(a, b.alice.Subject()); err != nil {
		t.Fatal(err)
	}
	a.Handle = b.bob.Handle
	_, err := b.login(a, b.alice.Subject())
	b.refused(err, fido2.ReasonForeignUser)
}

func TestOnlyPeopleHavePasskeys(t *testing.T) {
	for _, class := range []authn.Class{authn.ClassDevice, authn.ClassWorkload} {
		t.Run(class.String(), func(t *testing.T) { haveNoPasskeys(t, class) })
	}
}

func haveNoPasskeys(t *testing.T, class authn.Class) {
	b := newBench(t, "")
	kiosk := b.user("corp", "kiosk")
	kiosk.Class = class
	b.directory.users[len(b.directory.users)-1] = kiosk
	if _, err := b.factor.EnrolChallenge(context.Background(), factors.Enrolment{Request: b.request(kiosk.Subject()), User: kiosk}); err == nil {
		t.Error("a challenge")
	}
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	a.Handle = kiosk.Handle
	for _, s := range []authn.Subject{{}, {Tenant: "corp"}, kiosk.Subject()} {
		v := b.answer(a, authn.Subject{})
		v.Subject = s
		b.refused(b.verify(v), fido2.ReasonForeignUser)
	}
}

// TestPersonWhoBecameSomethingElse: whatever is stored, neither a device nor a workload signs in with a passkey.
func TestPersonWhoBecameSomethingElse(t *testing.T) {
	for _, class := range []authn.Class{authn.ClassDevice, authn.ClassWorkload} {
		b := newBench(t, "")
		a := fido2test.New(origin)
		b.enrol(a, b.alice)
		b.directory.users[0].Class = class
		_, err := b.login(a, authn.Subject{Tenant: "corp"})
		b.refused(err, fido2.ReasonForeignUser)
	}
}

// TestHandleOfTheRecord: the handle that a passkey was made with counts, too.
func TestHandleOfTheRecord(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	b.directory.users[0].Handle = bytes.Repeat([]byte{7}, 64)
	a.Handle = b.directory.users[0].Handle
	_, err := b.login(a, authn.Subject{})
	b.refused(err, fido2.ReasonForeignUser)
}

// TestForeignCredentialWithoutHandle: the owner of the credential counts where no handle says whose it is.
func TestForeignCredentialWithoutHandle(t *testing.T) {
	b := newBench(t, "")
	alices, bobs := fido2test.New(origin), fido2test.New(origin)
	b.enrol(alices, b.alice)
	b.enrol(bobs, b.bob)
	alices.NoHandle = true
	v := b.answer(alices, b.alice.Subject())
	v.Subject = b.bob.Subject()
	var state map[string]any
	if err := json.Unmarshal(v.Challenge.Data, &state); err != nil {
		t.Fatal(err)
	}
	state["subject"] = b.bob.Subject()
	v.Challenge.Data, _ = json.Marshal(state)
	b.refused(b.verify(v), fido2.ReasonForeignUser)
}

func TestAnotherCeremony(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	a.Ceremony = "webauthn.create"
	_, err := b.login(a, authn.Subject{})
	b.refused(err, fido2.ReasonChallenge)
	a.Ceremony = "webauthn.get"
	_, err = b.tryEnrol(a, b.bob)
	b.refused(err, fido2.ReasonChallenge)
}

// TestVerifiedOnlyWhenItWas: where verification is preferred, evidence says what happened.
func TestVerifiedOnlyWhenItWas(t *testing.T) {
	b := newBench(t, ", user_verification: preferred")
	a := fido2test.New(origin)
	a.NotVerified = true
	if made := b.enrol(a, b.alice); made.Best.UserVerified {
		t.Error("the credential says verified")
	}
	for _, verified := range []bool{false, true, false} {
		a.NotVerified = !verified
		v, err := b.login(a, authn.Subject{})
		if err != nil || v.Evidence.Strength.UserVerified != verified {
			t.Fatalf("verified %t: %+v, %v", verified, v.Evidence.Strength, err)
		}
		b.directory.credentials[0] = *v.Update
	}
	if !b.directory.credentials[0].Best.UserVerified {
		t.Error("the credential forgot its best")
	}
}

// TestSignatureIsVerifiedForNobody: an answer of a passkey that is not there is verified like one that is.
func TestSignatureIsVerifiedForNobody(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	a.BadSignature = true
	v := b.answer(a, authn.Subject{})
	work := func() float64 { return testing.AllocsPerRun(20, func() { _ = b.verify(v) }) }
	known := work()
	b.directory.credentials = nil
	if unknown := work(); unknown < known*0.85 {
		t.Errorf("%v allocations for nobody, %v for somebody", unknown, known)
	}
}

// TestSameNameInAnotherTenant: identity is the pair of ids, never a name.
func TestSameNameInAnotherTenant(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	other := b.directory.users[2]
	if other.Tenant != "labs" || other.Name != "alice" {
		t.Fatalf("%+v", other)
	}
	_, err := b.login(a, authn.Subject{Tenant: "labs"})
	b.refused(err, fido2.ReasonForeignUser)
	a.Handle = other.Handle
	_, err = b.login(a, authn.Subject{Tenant: "labs"})
	b.refused(err, fido2.ReasonUnknown)
	_, err = b.login(a, authn.Subject{})
	b.refused(err, fido2.ReasonUnknown)
}

func TestMalformed(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	v := b.answer(a, authn.Subject{})
	good := string(v.Credential)
	creation, err := b.factor.EnrolChallenge(context.Background(), factors.Enrolment{Request: b.request(b.bob.Subject()), User: b.bob})
	if err != nil {
		t.Fatal(err)
	}
	made, err := fido2test.New(origin).Create(creation.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	enrol := func(credential string) error {
		_, err := b.factor.Enrol(context.Background(), factors.Enrolment{Request: b.request(b.bob.Subject()), User: b.bob,
			Credential: json.RawMessage(credential), Challenge: b.asked(creation)})
		return err
	}
	for name, damage := range map[string]func(string) string{
		"empty":            func(string) string { return "" },
		"null":             func(string) string { return "null" },
		"a list":           func(s string) string { return "[" + s + "]" },
		"trailing data":    func(s string) string { return s + "{}" },
		"trailing garbage": func(s string) string { return s + "x" },
		"too large":        func(s string) string { return strings.Repeat(" ", 64<<10) + s },
		"a name twice":     func(s string) string { return strings.Replace(s, `"type"`, `"type":"public-key","type"`, 1) },
		"another case":     func(s string) string { return strings.Replace(s, `"rawId"`, `"RAWID"`, 1) },
		"another type":     func(s string) string { return strings.Replace(s, "public-key", "password", 1) },
		"no response":      func(s string) string { return strings.Replace(s, `"response"`, `"respond"`, 1) },
		"not base64url":    func(s string) string { return strings.Replace(s, `"clientDataJSON":"`, `"clientDataJSON":"+/`, 1) },
		"another id":       func(s string) string { return strings.Replace(s, `"id":"`, `"id":"AA`, 1) },
		"bad UTF-8":        func(s string) string { return strings.Replace(s, `"type"`, "\"\xff\":1,\"type\"", 1) },
		"a number":         func(s string) string { return strings.Replace(s, `"response":{`, `"response":1,"x":{`, 1) },
		"client data with a name twice": func(s string) string {
			return replaceClientData(t, s, func(c string) string { return strings.Replace(c, `"type"`, `"origin":"x","type"`, 1) })
		},
		"client data in another case": func(s string) string {
			return replaceClientData(t, s, func(c string) string { return strings.Replace(c, `"challenge"`, `"Challenge"`, 1) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			bad := v
			bad.Credential = json.RawMessage(damage(good))
			want := factors.ReasonMalformed
			if name == "client data in another case" {
				want = fido2.ReasonChallenge // there is none then
			}
			b.refused(b.verify(bad), want)
			b.refused(enrol(damage(string(made))), want)
		})
	}
	if err := b.verify(v); err != nil {
		t.Errorf("undamaged: %v", err)
	}
	if err := enrol(string(made)); err != nil {
		t.Errorf("undamaged: %v", err)
	}
}

func replaceClientData(t *testing.T, credential string, change func(string) string) string {
	t.Helper()
	var c map[string]any
	if err := json.Unmarshal([]byte(credential), &c); err != nil {
		t.Fatal(err)
	}
	response := c["response"].(map[string]any)
	client, err := base64.RawURLEncoding.DecodeString(response["clientDataJSON"].(string))
	if err != nil {
		t.Fatal(err)
	}
	response["clientDataJSON"] = base64.RawURLEncoding.EncodeToString([]byte(change(string(client))))
	out, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// failing is a directory of which one call fails, and that counts the calls.
type failing struct {
	factors.Directory
	fail  string
	calls map[string]int
}

var errDown = errors.New("the directory is down")

func (f *failing) call(name string) error {
	f.calls[name]++
	if f.fail == name {
		return errDown
	}
	return nil
}

func (f *failing) UserByHandle(ctx context.Context, handle []byte) (factors.User, error) {
	if err := f.call("UserByHandle"); err != nil {
		return factors.User{}, err
	}
	return f.Directory.UserByHandle(ctx, handle)
}

func (f *failing) Credential(ctx context.Context, tenant, factor, id string) (factors.Credential, error) {
	if err := f.call("Credential"); err != nil {
		return factors.Credential{}, err
	}
	return f.Directory.Credential(ctx, tenant, factor, id)
}

func (f *failing) Credentials(ctx context.Context, tenant, user, factor string) ([]factors.Credential, error) {
	if err := f.call("Credentials"); err != nil {
		return nil, err
	}
	return f.Directory.Credentials(ctx, tenant, user, factor)
}

func (b *bench) behind(fail string) (*fido2.Factor, *failing) {
	b.t.Helper()
	f := &failing{Directory: b.directory, fail: fail, calls: map[string]int{}}
	return b.build(f), f
}

// TestBrokenDirectory: what cannot be decided is no rejection.
func TestBrokenDirectory(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	v := b.answer(a, authn.Subject{})
	for _, call := range []string{"UserByHandle", "Credential"} {
		f, _ := b.behind(call)
		if _, err := f.Verify(context.Background(), v); !errors.Is(err, errDown) || errors.As(err, new(*factors.Rejection)) {
			t.Errorf("%s: %v", call, err)
		}
	}
	f, _ := b.behind("Credentials")
	if _, err := f.Challenge(context.Background(), b.request(b.alice.Subject())); !errors.Is(err, errDown) {
		t.Errorf("Credentials: %v", err)
	}
	b.directory.credentials[0].Data = []byte(`{"v":1}`)
	if err := b.verify(v); err == nil || errors.As(err, new(*factors.Rejection)) {
		t.Errorf("a damaged record: %v", err)
	}
}

// TestSameWork: whoever is unknown costs the directory what a known one does.
func TestSameWork(t *testing.T) {
	for name, lie := range map[string]func(b *bench, a *fido2test.Authenticator){
		"good":           func(*bench, *fido2test.Authenticator) {},
		"bad signature":  func(_ *bench, a *fido2test.Authenticator) { a.BadSignature = true },
		"unknown handle": func(_ *bench, a *fido2test.Authenticator) { a.Handle = make([]byte, 64) },
		"foreign handle": func(b *bench, a *fido2test.Authenticator) { a.Handle = b.bob.Handle },
		"no credential":  func(b *bench, _ *fido2test.Authenticator) { b.directory.credentials = nil },
		"flagged":        func(b *bench, _ *fido2test.Authenticator) { b.directory.credentials[0].Flagged = "lost" },
		"another's device": func(b *bench, a *fido2test.Authenticator) {
			b.directory.users[1].Class = authn.ClassDevice
			a.Handle = b.bob.Handle
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "")
			a := fido2test.New(origin)
			b.enrol(a, b.alice)
			lie(b, a)
			v := b.answer(a, authn.Subject{Tenant: "corp"})
			f, calls := b.behind("")
			_, err := f.Verify(context.Background(), v)
			if (err == nil) != (name == "good") {
				t.Fatal(err)
			}
			if calls.calls["UserByHandle"] != 1 || calls.calls["Credential"] != 1 {
				t.Errorf("calls %v", calls.calls)
			}
		})
	}
}

func TestEnrolTwice(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	e := factors.Enrolment{Request: b.request(b.alice.Subject()), User: b.alice}
	c, err := b.factor.EnrolChallenge(context.Background(), e)
	if err != nil {
		t.Fatal(err)
	}
	if e.Credential, err = a.Create(c.PublicKey); err != nil {
		t.Fatal(err)
	}
	e.Challenge = b.asked(c)
	made, err := b.factor.Enrol(context.Background(), e)
	if err != nil {
		t.Fatal(err)
	}
	e.Existing = []factors.Credential{made}
	_, err = b.factor.Enrol(context.Background(), e)
	b.refused(err, fido2.ReasonRegistration)
}

func TestDeviceBoundAtLogin(t *testing.T) {
	b := newBench(t, ", device_bound: true")
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	if _, err := b.login(a, authn.Subject{}); err != nil {
		t.Fatal(err)
	}
	a.BackupEligible = true
	_, err := b.login(a, authn.Subject{})
	b.refused(err, fido2.ReasonNotDeviceBound)
}

func TestParallel(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	var answers []factors.Verification
	for range 16 {
		answers = append(answers, b.answer(a, authn.Subject{}))
	}
	var wg sync.WaitGroup
	for _, v := range answers {
		wg.Go(func() {
			if err := b.verify(v); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
