package authn_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport-auth/sallyport/authn"
)

// worth is evidence with a secret of its own.
func worth(name string, s authn.Strength, amr ...string) authn.Evidence {
	return authn.Evidence{Factor: name, Credential: name, Key: "key of " + name, Strength: s, AMR: amr, At: t0}
}

var (
	softCert   = worth("cert", authn.Strength{Category: authn.Have, PhishingResistant: true}, "swk")
	hardCert   = worth("smartcard", authn.Strength{Category: authn.Have, PhishingResistant: true, Hardware: true, UserVerified: true}, "hwk", "sc")
	touchKey   = worth("security key", authn.Strength{Category: authn.Have, PhishingResistant: true, Hardware: true}, "hwk", "user")
	syncedKey  = worth("synced passkey", authn.Strength{Category: authn.Have, PhishingResistant: true, UserVerified: true}, "swk", "user", "mfa")
	hardKey    = worth("device passkey", authn.Strength{Category: authn.Have, PhishingResistant: true, Hardware: true, UserVerified: true}, "hwk", "user")
	password   = worth("password", authn.Strength{Category: authn.Know}, "pwd")
	totp       = worth("totp", authn.Strength{Category: authn.Have}, "otp")
	nothing    = worth("nothing", authn.Strength{}, "fpt")
	biometrics = worth("face", authn.Strength{Category: authn.Are}, "face")
)

func ambient(e authn.Evidence) authn.Evidence { e.Ambient = true; return e }

func touched(e authn.Evidence) authn.Evidence { e.Strength.UserVerified = false; return e }

func keyed(e authn.Evidence, key string) authn.Evidence { e.Key = key; return e }

func values(e authn.Evidence, amr ...string) authn.Evidence { e.AMR = amr; return e }

func again(e authn.Evidence, as string) authn.Evidence { e.Factor, e.Credential = as, as; return e }

func TestAssess(t *testing.T) {
	unkeyed := func(e authn.Evidence, credential string) authn.Evidence {
		e.Key, e.Credential = "", credential
		return e
	}
	for _, test := range []struct {
		name     string
		evidence []authn.Evidence
		want     string // aal, then p(hishing resistant) h(ardware) u(ser verified), then AMR
	}{
		{"nothing at all", nil, "0 []"},
		{"evidence that is worth nothing", []authn.Evidence{nothing}, "0 []"},
		{"a password", []authn.Evidence{password}, "1 [pwd]"},
		{"biometrics alone", []authn.Evidence{biometrics}, "1 [face]"},
		{"a certificate", []authn.Evidence{ambient(softCert)}, "1p [swk]"},
		{"a security key that was touched", []authn.Evidence{touchKey}, "1ph [hwk user]"},
		{"two things had", []authn.Evidence{ambient(softCert), totp}, "1p [swk otp]"},
		{"two passwords", []authn.Evidence{password, worth("other password", authn.Strength{Category: authn.Know}, "pwd")}, "1 [pwd]"},
		{"known and being, nothing had", []authn.Evidence{password, biometrics}, "1 [pwd face]"},
		{"password and code", []authn.Evidence{password, totp}, "2 [pwd otp mfa]"},
		{"certificate and password", []authn.Evidence{ambient(softCert), password}, "2p [swk pwd mfa]"},
		{"a synced passkey", []authn.Evidence{syncedKey}, "2pu [swk user mfa]"},
		{"password and touched key", []authn.Evidence{password, touchKey}, "2ph [pwd hwk user mfa]"},
		{"certificate and synced passkey", []authn.Evidence{ambient(softCert), syncedKey}, "2pu [swk user mfa]"},
		{"properties of two credentials do not make one strong one", []authn.Evidence{touchKey, syncedKey}, "2phu [hwk user swk mfa]"},
		{"a passkey in hardware", []authn.Evidence{hardKey}, "3phu [hwk user mfa]"},
		{"certificate and passkey in hardware", []authn.Evidence{ambient(softCert), hardKey}, "3phu [swk hwk user mfa]"},
		{"a smart card that nobody was asked for", []authn.Evidence{ambient(hardCert)}, "2phu [hwk sc mfa]"},
		{"a smart card, asked for", []authn.Evidence{hardCert}, "3phu [hwk sc mfa]"},
		{"one secret shown twice", []authn.Evidence{password, again(password, "the same")}, "1 [pwd]"},
		{"one secret shown as known and as had", []authn.Evidence{password, func() authn.Evidence { e := totp; e.Key = password.Key; return e }()}, "1 [pwd]"},
		{"one credential without a key, twice", []authn.Evidence{unkeyed(totp, "c"), unkeyed(totp, "c")}, "1 [otp]"},
		{"one secret, the second time with its holder verified", []authn.Evidence{touched(hardKey), hardKey}, "3phu [hwk user mfa]"},
		{"and then without", []authn.Evidence{hardKey, touched(hardKey)}, "3phu [hwk user mfa]"},
		{"one secret that was worth nothing at first", []authn.Evidence{keyed(nothing, password.Key), password}, "1 [pwd]"},
		{"one secret shown as known and as had, and another had", []authn.Evidence{password, keyed(totp, password.Key), touchKey}, "2ph [pwd hwk user mfa]"},
		{"one secret shown as had and as known, and another had", []authn.Evidence{keyed(totp, password.Key), password, touchKey}, "2ph [otp hwk user mfa]"},
		{"one credential that is had and known", []authn.Evidence{worth("card", authn.Strength{Category: authn.Have | authn.Know}, "sc")}, "2 [sc mfa]"},
		{"two secrets, each shown as had and as known", []authn.Evidence{totp, keyed(password, totp.Key), touchKey, keyed(password, touchKey.Key)}, "2ph [otp hwk user mfa]"},
		{"values of a stronger showing come with it", []authn.Evidence{password, values(touched(hardKey), "hwk"), values(hardKey, "pin", "user")}, "3phu [pwd hwk pin user mfa]"},
		{"what is worth nothing adds nothing", []authn.Evidence{nothing, password, totp}, "2 [pwd otp mfa]"},
	} {
		a := authn.Assess(test.evidence...)
		got := fmt.Sprint(a.AAL)
		for _, p := range []struct {
			on   bool
			name string
		}{{a.PhishingResistant, "p"}, {a.Hardware, "h"}, {a.UserVerified, "u"}} {
			if p.on {
				got += p.name
			}
		}
		if got += " " + fmt.Sprint(a.AMR); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

var anyEvidence = rapid.Custom(func(t *rapid.T) authn.Evidence {
	n := rapid.IntRange(0, 4).Draw(t, "secret")
	s := rapid.Custom(func(t *rapid.T) authn.Strength {
		return authn.Strength{Category: authn.Category(rapid.IntRange(0, 7).Draw(t, "category")), PhishingResistant: rapid.Bool().Draw(t, "phishing resistant"),
			Hardware: rapid.Bool().Draw(t, "hardware"), UserVerified: rapid.Bool().Draw(t, "user verified")}
	}).Draw(t, "strength")
	e := worth(fmt.Sprint("factor ", n), s, rapid.SampledFrom([]string{"pwd", "otp", "hwk", "swk", "mfa"}).Draw(t, "amr"))
	e.Ambient = rapid.Bool().Draw(t, "ambient")
	return e
})

// some is evidence of which several pieces may rest on one secret.
var some = rapid.SliceOfN(anyEvidence, 0, 7)

// withoutAMR leaves what does not depend on the order.
func withoutAMR(a authn.Assurance) string { a.AMR = nil; return fmt.Sprintf("%+v", a) }

func TestAssessProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := some.Draw(t, "evidence")
		a := authn.Assess(all...)
		if b := authn.Assess(rapid.Permutation(all).Draw(t, "in another order")...); withoutAMR(a) != withoutAMR(b) {
			t.Errorf("the order matters: %+v, %+v", a, b)
		}
		if b := authn.Assess(append(slices.Clone(all), all...)...); fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("shown twice it is worth something else: %+v, %+v", a, b)
		}
		more := authn.Assess(append(slices.Clone(all), anyEvidence.Draw(t, "more"))...)
		if more.AAL < a.AAL || a.PhishingResistant && !more.PhishingResistant || a.Hardware && !more.Hardware || a.UserVerified && !more.UserVerified || len(more.AMR) < len(a.AMR) {
			t.Errorf("more evidence is worth less: %+v, then %+v", a, more)
		}
		if slices.Contains(a.AMR, "mfa") != (a.AAL >= 2) || a.AMR == nil {
			t.Errorf("mfa at AAL %d: %v", a.AAL, a.AMR)
		}
		if a.AAL == 3 && !slices.ContainsFunc(all, func(e authn.Evidence) bool {
			return !e.Ambient && e.Strength.PhishingResistant && e.Strength.Hardware && e.Strength.UserVerified
		}) {
			t.Errorf("AAL 3 without one credential that has it all: %+v", all)
		}
		// A requirement says the same as the assurance it asks for.
		want := authn.Requirement{AAL: rapid.IntRange(0, 3).Draw(t, "aal"), PhishingResistant: rapid.Bool().Draw(t, "phishing resistant"),
			Hardware: rapid.Bool().Draw(t, "hardware"), UserVerified: rapid.Bool().Draw(t, "user verified")}
		meets := a.AAL >= want.AAL && (a.PhishingResistant || !want.PhishingResistant) && (a.Hardware || !want.Hardware) && (a.UserVerified || !want.UserVerified)
		if want.MetBy(all, t0) != meets {
			t.Errorf("%+v of %+v: MetBy says %v", want, a, !meets)
		}
	})
}

func TestNarrow(t *testing.T) {
	tenant := func(id string) authn.Subject { return authn.Subject{Tenant: id} }
	user := func(tenant, id string) authn.Subject { return authn.Subject{Tenant: tenant, User: id} }
	box := func(tenant, id string) authn.Subject {
		return authn.Subject{Tenant: tenant, User: id, Class: authn.ClassDevice}
	}
	no := authn.Subject{Tenant: "refused"}
	for _, test := range []struct{ s, more, want authn.Subject }{
		{authn.Subject{}, authn.Subject{}, authn.Subject{}},
		{authn.Subject{}, tenant("corp"), tenant("corp")},
		{authn.Subject{}, user("corp", "1"), user("corp", "1")},
		{tenant("corp"), authn.Subject{}, tenant("corp")},
		{tenant("corp"), tenant("corp"), tenant("corp")},
		{tenant("corp"), tenant("labs"), no},
		{tenant("corp"), user("corp", "1"), user("corp", "1")},
		{tenant("corp"), user("labs", "1"), no},
		{tenant("corp"), box("corp", "1"), box("corp", "1")},
		{user("corp", "1"), authn.Subject{}, user("corp", "1")},
		{user("corp", "1"), tenant("corp"), user("corp", "1")},
		{user("corp", "1"), tenant("labs"), no},
		{user("corp", "1"), user("corp", "1"), user("corp", "1")},
		{user("corp", "1"), user("corp", "2"), no},
		{user("corp", "1"), user("labs", "1"), no},
		{user("corp", "1"), box("corp", "1"), no},
		{box("corp", "1"), user("corp", "1"), no},
		{box("corp", "1"), box("corp", "1"), box("corp", "1")},
		// Subjects that cannot exist.
		{user("", "1"), authn.Subject{}, no},
		{authn.Subject{}, user("", "1"), no},
		{tenant("corp"), user("", "1"), no},
		{tenant("corp"), box("corp", ""), no},
		{user("corp", "1"), box("", ""), no},
	} {
		got, err := test.s.Narrow(test.more)
		if test.want == no {
			if !errors.Is(err, authn.ErrContradiction) || got != test.s {
				t.Errorf("%+v and %+v: got %+v, %v, want a contradiction", test.s, test.more, got, err)
			}
		} else if err != nil || got != test.want {
			t.Errorf("%+v and %+v: got %+v, %v", test.s, test.more, got, err)
		}
	}
}

func TestMetBy(t *testing.T) {
	aged := func(e authn.Evidence, age time.Duration) authn.Evidence { e.At = t0.Add(-age); return e }
	const m = time.Minute
	cert, key, pwd := ambient(aged(softCert, 0)), aged(hardKey, 10*m), aged(password, 2*m)
	for _, test := range []struct {
		name     string
		r        authn.Requirement
		evidence []authn.Evidence
		want     bool
	}{
		{"nothing is asked", authn.Requirement{}, nil, true},
		{"a level", authn.Requirement{AAL: 1}, nil, false},
		{"a level that is there", authn.Requirement{AAL: 3}, []authn.Evidence{cert, key}, true},
		{"a level that is not", authn.Requirement{AAL: 3}, []authn.Evidence{cert, pwd}, false},
		{"hardware that is not", authn.Requirement{Hardware: true}, []authn.Evidence{cert, pwd}, false},
		{"a holder that nobody checked", authn.Requirement{UserVerified: true}, []authn.Evidence{cert, pwd}, false},
		{"phishing resistance that is not", authn.Requirement{PhishingResistant: true}, []authn.Evidence{pwd}, false},
		{"factors", authn.Requirement{Factors: []string{"cert", "device passkey"}}, []authn.Evidence{cert, key}, true},
		{"one factor missing", authn.Requirement{Factors: []string{"cert", "password"}}, []authn.Evidence{cert, key}, false},

		{"an age, with nothing but what comes by itself", authn.Requirement{MaxAge: m}, []authn.Evidence{cert}, false},
		{"an age, with an ambient smart card", authn.Requirement{MaxAge: m, AAL: 2}, []authn.Evidence{ambient(hardCert)}, false},
		{"an age, young enough", authn.Requirement{MaxAge: 10 * m}, []authn.Evidence{cert, key}, true},
		{"an age, too old by a nanosecond", authn.Requirement{MaxAge: 10*m - 1}, []authn.Evidence{cert, key}, false},
		{"an age, and the level of what is young enough", authn.Requirement{MaxAge: 5 * m, AAL: 2}, []authn.Evidence{cert, key, pwd}, true},
		{"an age, and the level of what is too old", authn.Requirement{MaxAge: 5 * m, AAL: 3}, []authn.Evidence{cert, key, pwd}, false},
		{"an age of a factor, young enough", authn.Requirement{MaxAge: 5 * m, Factors: []string{"password"}}, []authn.Evidence{key, pwd}, true},
		{"an age of a factor, too old", authn.Requirement{MaxAge: 5 * m, Factors: []string{"device passkey"}}, []authn.Evidence{key, pwd}, false},
		{"an age of an ambient factor alone", authn.Requirement{MaxAge: m, Factors: []string{"cert"}}, []authn.Evidence{cert}, false},
		{"an age of a factor shown anew", authn.Requirement{MaxAge: m, Factors: []string{"device passkey"}}, []authn.Evidence{key, hardKey}, true},
	} {
		if got := test.r.MetBy(test.evidence, t0); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// What a guard asks on each request costs no memory, whatever it asks.
func TestMetByDoesNotAllocate(t *testing.T) {
	all := []authn.Evidence{ambient(softCert), touched(hardKey), password, hardKey}
	for _, r := range []authn.Requirement{{AAL: 3}, {AAL: 2, PhishingResistant: true, MaxAge: time.Minute}, {Factors: []string{"cert", "password"}, MaxAge: time.Hour}} {
		if n := testing.AllocsPerRun(100, func() {
			if !r.MetBy(all, t0) {
				t.Fatalf("%+v is not met", r)
			}
		}); n != 0 {
			t.Errorf("%+v costs %v allocations", r, n)
		}
	}
}
