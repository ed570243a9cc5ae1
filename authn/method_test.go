package authn_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport-auth/sallyport/authn"
)

func TestReachable(t *testing.T) {
	cert := authn.Factor{Name: "cert", Ambient: true, Best: authn.Strength{Category: authn.Have, PhishingResistant: true}}
	key := authn.Factor{Name: "key", Best: authn.Strength{Category: authn.Have, PhishingResistant: true, Hardware: true, UserVerified: true}}
	word := authn.Factor{Name: "word", Best: authn.Strength{Category: authn.Know}}
	smart := key
	smart.Name, smart.Ambient = "smart", true
	asked, plain, none := cert, cert, cert
	asked.Name, asked.Ambient = "asked", false
	plain.Name, plain.Best = "plain", authn.Strength{Category: authn.Have}
	none.Name, none.Best = "none", authn.Strength{PhishingResistant: true}
	mute := authn.Factor{Name: "mute"}
	step := func(f ...authn.Factor) authn.Step { return authn.Step{AnyOf: f} }
	const age = time.Minute
	for _, c := range []struct {
		name  string
		r     authn.Requirement
		steps []authn.Step
		want  bool
	}{
		{"nothing is asked", authn.Requirement{}, []authn.Step{step(mute)}, true},
		{"a choice", authn.Requirement{AAL: 3}, []authn.Step{step(cert), step(word, key)}, true},
		{"two steps together", authn.Requirement{AAL: 2}, []authn.Step{step(cert), step(word)}, true},
		{"not together", authn.Requirement{AAL: 3}, []authn.Step{step(cert), step(word)}, false},
		{"ambient alone for the topmost", authn.Requirement{AAL: 3}, []authn.Step{step(smart), step(word)}, false},
		{"one factor that is named", authn.Requirement{Factors: []string{"word"}}, []authn.Step{step(cert), step(word, key)}, true},
		{"both of a choice", authn.Requirement{Factors: []string{"word", "key"}}, []authn.Step{step(cert), step(word, key)}, false},
		{"one named, and the other's strength", authn.Requirement{Factors: []string{"word"}, Hardware: true}, []authn.Step{step(cert), step(word, key)}, false},
		{"named in an earlier step", authn.Requirement{Factors: []string{"cert", "word"}}, []authn.Step{step(cert, smart), step(word, key)}, true},
		{"not in the method", authn.Requirement{Factors: []string{"code"}}, []authn.Step{step(cert), step(word)}, false},
		{"a named one without worth", authn.Requirement{Factors: []string{"mute"}}, []authn.Step{step(mute)}, true},
		{"an age, ambient only", authn.Requirement{MaxAge: age}, []authn.Step{step(cert)}, false},
		{"an age, ambient steps only", authn.Requirement{MaxAge: age}, []authn.Step{step(cert), step(smart)}, false},
		{"an age, interactive", authn.Requirement{MaxAge: age}, []authn.Step{step(cert), step(word)}, true},
		{"an age, a choice", authn.Requirement{MaxAge: age}, []authn.Step{step(cert, word)}, true},
		{"an age of an ambient factor alone", authn.Requirement{MaxAge: age, Factors: []string{"cert"}}, []authn.Step{step(cert)}, false},
		{"an age of an ambient factor and another", authn.Requirement{MaxAge: age, Factors: []string{"cert"}}, []authn.Step{step(cert), step(word)}, true},
		{"an age, the interactive of two alike first", authn.Requirement{MaxAge: age}, []authn.Step{step(asked, cert)}, true},
		{"an age, the interactive of two alike last", authn.Requirement{MaxAge: age}, []authn.Step{step(cert, asked)}, true},
		{"a strength that counts for nothing", authn.Requirement{PhishingResistant: true}, []authn.Step{step(cert, none), step(plain, none)}, true},
		{"a strength that counts for nothing, first", authn.Requirement{PhishingResistant: true}, []authn.Step{step(none, cert), step(none, plain)}, true},
		{"nothing but a strength that counts for nothing", authn.Requirement{PhishingResistant: true}, []authn.Step{step(none), step(plain)}, false},
		{"an age and the choice without it", authn.Requirement{MaxAge: age, Factors: []string{"cert"}}, []authn.Step{step(cert, word)}, false},
	} {
		if got := c.r.Reachable(authn.Method{Name: "m", Steps: c.steps}); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// Whatever the method, the answer is that of trying every way through it.
func TestReachableIsEveryWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := make([]authn.Factor, 6)
		for i := range all {
			all[i] = authn.Factor{Name: fmt.Sprint("f", i), Ambient: rapid.Bool().Draw(t, "ambient"), Best: authn.Strength{
				Category: authn.Category(rapid.IntRange(0, 3).Draw(t, "category")), PhishingResistant: rapid.Bool().Draw(t, "resistant"),
				Hardware: rapid.Bool().Draw(t, "hardware"), UserVerified: rapid.Bool().Draw(t, "verified")}}
		}
		m := authn.Method{Name: "m", Steps: make([]authn.Step, rapid.IntRange(1, 4).Draw(t, "steps"))}
		for i := range m.Steps {
			m.Steps[i].AnyOf = rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, 3, func(f authn.Factor) string { return f.Name }).Draw(t, "step")
		}
		r := authn.Requirement{AAL: rapid.IntRange(0, 3).Draw(t, "aal"), PhishingResistant: rapid.Bool().Draw(t, "resistant"), Hardware: rapid.Bool().Draw(t, "hardware"),
			UserVerified: rapid.Bool().Draw(t, "verified"), MaxAge: rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "age"),
			Factors: rapid.SliceOfN(rapid.SampledFrom([]string{"f0", "f1", "f2"}), 0, 2).Draw(t, "factors")}
		var every func(i int, evidence []authn.Evidence) bool
		every = func(i int, evidence []authn.Evidence) bool {
			if i == len(m.Steps) {
				return r.MetBy(evidence, time.Time{})
			}
			return slices.ContainsFunc(m.Steps[i].AnyOf, func(f authn.Factor) bool { return every(i+1, append(slices.Clip(evidence), f.BestEvidence())) })
		}
		if want := every(0, nil); r.Reachable(m) != want {
			t.Fatalf("%+v by %+v: want %v", r, m, want)
		}
	})
}

// A policy's linter asks this of every floor and method: many choices must not multiply.
func TestReachableWithManyChoices(t *testing.T) {
	m := authn.Method{Name: "m"}
	var all []string
	for i := range 60 {
		var s authn.Step
		for j := range 8 {
			s.AnyOf = append(s.AnyOf, authn.Factor{Name: fmt.Sprintf("f%d-%d", i, j), Ambient: j == 0, Best: authn.Strength{
				Category: authn.Category(j & 1), PhishingResistant: j&2 != 0, UserVerified: j&4 != 0}})
		}
		m.Steps = append(m.Steps, s)
		all = append(all, s.AnyOf[i%8].Name)
	}
	for _, r := range []authn.Requirement{{Hardware: true}, {Hardware: true, Factors: all}, {AAL: 2, Factors: []string{"f0-1", "f0-2"}}} {
		if r.Reachable(m) {
			t.Errorf("%+v", r)
		}
	}
	if !(authn.Requirement{Factors: all, MaxAge: time.Minute}).Reachable(m) {
		t.Error("every step's own choice is a way")
	}
}
