package authn

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Identifies is the most that evidence of a factor can say about who the caller is.
type Identifies uint8

const (
	IdentifiesNothing Identifies = iota
	IdentifiesTenant
	IdentifiesUser
)

// Factor describes a configured factor: its name, its kind, and the most its evidence can prove. It is pinned in a
// login with the method it belongs to.
type Factor struct {
	Name       string     `json:"name"`
	Kind       string     `json:"kind"`
	Ambient    bool       `json:"ambient,omitempty"`    // its credential comes with each request by itself
	Identifies Identifies `json:"identifies,omitempty"` // nothing, the tenant, or the user
	Class      Class      `json:"device,omitempty"`     // what the user is that it names
	Tied       bool       `json:"tied,omitempty"`       // its evidence carries a [Tie]
	Best       Strength   `json:"best"`                 // the strongest evidence it can give
	AMR        []string   `json:"amr,omitempty"`        // the values it can give
}

// BestEvidence is a piece of evidence as strong as the factor can ever give. Linters compute with it.
func (f Factor) BestEvidence() Evidence {
	return Evidence{Factor: f.Name, Kind: f.Kind, Strength: f.Best, AMR: f.AMR, Ambient: f.Ambient}
}

// Step is one position of a method: any one of the factors in it. The choice is made when the factor is challenged.
type Step struct {
	AnyOf []Factor `json:"any_of"`
}

// Allows returns the description of the factor with this name, if the step has it.
func (s Step) Allows(name string) (Factor, bool) {
	for _, f := range s.AnyOf {
		if f.Name == name {
			return f, true
		}
	}
	return Factor{}, false
}

// Ambient reports whether the step needs nothing but what comes with a request by itself.
func (s Step) Ambient() bool {
	return !slices.ContainsFunc(s.AnyOf, func(f Factor) bool { return !f.Ambient })
}

// Certificate reports whether nothing but the certificate of a request passes the step.
func (s Step) Certificate() bool {
	return !slices.ContainsFunc(s.AnyOf, func(f Factor) bool { return !f.Tied || !f.Ambient })
}

// Names are the names of the factors of the step, in order.
func (s Step) Names() []string {
	names := make([]string, len(s.AnyOf))
	for i, f := range s.AnyOf {
		names[i] = f.Name
	}
	return names
}

// Lifetime bounds the session that a method yields. Zero means no bound of that sort.
type Lifetime struct {
	Idle     time.Duration `json:"idle,omitempty"`
	Absolute time.Duration `json:"absolute,omitempty"`
}

// Method is a named, ordered list of steps.
type Method struct {
	Name        string        `json:"name"`
	Steps       []Step        `json:"steps"`
	Session     Lifetime      `json:"session"`
	Login       time.Duration `json:"login,omitempty"` // how long a login may take; zero means [DefaultLoginTime]
	On          string        `json:"on,omitempty"`    // the method that must have made the device principal beneath; empty: none
	EachRequest bool          `json:"each_request,omitempty"`
}

// DefaultLoginTime is how long a login may take where its method says nothing.
const DefaultLoginTime = 10 * time.Minute

// Check reports a method that could never be run: no name, no step, an empty step, a factor twice in one step; one for
// workloads that asks something, or is for others too.
func (m Method) Check() error {
	if m.Name == "" {
		return errors.New("authn: a method needs a name")
	}
	if len(m.Steps) == 0 {
		return fmt.Errorf("authn: method %q has no step", m.Name)
	}
	for i, s := range m.Steps {
		if len(s.AnyOf) == 0 {
			return fmt.Errorf("authn: step %d of method %q has no factor", i+1, m.Name)
		}
		for j, f := range s.AnyOf {
			if f.Name == "" || slices.ContainsFunc(s.AnyOf[:j], func(o Factor) bool { return o.Name == f.Name }) {
				return fmt.Errorf("authn: step %d of method %q names factor %q twice", i+1, m.Name, f.Name)
			}
		}
	}
	if m.Makes(ClassWorkload) {
		if f, bad := m.notForWorkloads(); bad {
			return fmt.Errorf("authn: method %q makes a workload: factor %q is for others", m.Name, f.Name)
		}
		if m.On != "" {
			return fmt.Errorf("authn: method %q makes a workload, which is on no device", m.Name)
		}
	}
	return nil
}

// notForWorkloads is the first factor of the method that has no place beside one that names a workload: it asks something,
// or names somebody of another class.
func (m Method) notForWorkloads() (Factor, bool) {
	for _, s := range m.Steps {
		for _, f := range s.AnyOf {
			if !f.Ambient || f.Class != ClassWorkload && f.Names(f.Class) {
				return f, true
			}
		}
	}
	return Factor{}, false
}

// Names reports whether the factor may name a user of a class.
func (f Factor) Names(c Class) bool {
	return f.Class == c && (f.Identifies == IdentifiesUser || c != ClassPerson)
}

// leading is how many steps the method begins with that ambient factors alone can pass.
func (m Method) leading() int {
	n := slices.IndexFunc(m.Steps, func(s Step) bool { return !s.Ambient() })
	if n < 0 {
		return len(m.Steps)
	}
	return n
}

// above reports whether the method may be run where this device is: it names none, or the method that made it. Nothing is
// run above a workload.
func (m Method) above(device *Principal) bool {
	return m.On == "" || device != nil && device.Subject.Class == ClassDevice && device.Method.Name == m.On
}

// Makes reports whether the method may yield a principal of a class: a step of it may name one.
func (m Method) Makes(c Class) bool {
	return slices.ContainsFunc(m.Steps, func(s Step) bool {
		return slices.ContainsFunc(s.AnyOf, func(f Factor) bool { return f.Names(c) })
	})
}

// Requirement is the least that something accepts: a floor, a guard, or a step-up that was asked for. The zero value
// accepts every principal.
type Requirement struct {
	Name              string        `json:"name,omitempty"`
	AAL               int           `json:"aal,omitempty"`
	PhishingResistant bool          `json:"phishing_resistant,omitempty"`
	Hardware          bool          `json:"hardware,omitempty"`
	UserVerified      bool          `json:"user_verified,omitempty"`
	Factors           []string      `json:"factors,omitempty"` // each must have been proven
	MaxAge            time.Duration `json:"max_age,omitempty"` // of interactive evidence (of Factors, where named); zero: any age
}

// Empty reports a requirement that accepts everything.
func (r Requirement) Empty() bool {
	return r.AAL == 0 && !r.PhishingResistant && !r.Hardware && !r.UserVerified && len(r.Factors) == 0 && r.MaxAge == 0
}

// MetBy reports whether evidence meets r at the time now. Ambient evidence never satisfies a maximum age. With a
// maximum age and no named factor, the properties must be met by fresh interactive evidence together with the ambient.
func (r Requirement) MetBy(evidence []Evidence, now time.Time) bool {
	for _, name := range r.Factors {
		proven := false
		for i := range evidence {
			proven = proven || evidence[i].Factor == name && !evidence[i].stale(r.MaxAge, now)
		}
		if !proven {
			return false
		}
	}
	if r.MaxAge > 0 {
		fresh := false
		for i := range evidence {
			fresh = fresh || !evidence[i].Ambient && !evidence[i].stale(r.MaxAge, now)
		}
		if !fresh {
			return false
		}
	}
	a := measure(evidence, r.MaxAge, now)
	return a.AAL >= r.AAL && (a.PhishingResistant || !r.PhishingResistant) && (a.Hardware || !r.Hardware) && (a.UserVerified || !r.UserVerified)
}

// Reachable reports whether the method could yield a principal that meets r, with the best evidence of each step. A login is
// fresh, so a maximum age asks for an interactive step, and no more.
func (r Requirement) Reachable(m Method) bool {
	// Ways through the method that are worth the same are one: the choices of a step never multiply those before it.
	ways := map[worth][]Evidence{{}: nil}
	for i, step := range m.Steps {
		next := map[worth][]Evidence{}
		for w, evidence := range ways {
			for _, f := range step.AnyOf {
				if n := w.with(f, r.Factors); !r.lost(n, m.Steps[i+1:]) {
					next[n] = append(slices.Clip(evidence), f.BestEvidence())
				}
			}
		}
		ways = next
	}
	for _, evidence := range ways {
		if r.MetBy(evidence, time.Time{}) {
			return true
		}
	}
	return false
}

// worth is all of some evidence that can matter to a requirement: two ways of one worth stay so, whatever is added to both.
type worth struct {
	all                  Strength
	interactive, topmost bool
	named                string // for each factor of the requirement: "1" where it was proven
}

func (w worth) with(f Factor, names []string) worth {
	s := f.Best
	if s.Category != 0 {
		w.all.Category |= s.Category
		w.all.PhishingResistant = w.all.PhishingResistant || s.PhishingResistant
		w.all.Hardware = w.all.Hardware || s.Hardware
		w.all.UserVerified = w.all.UserVerified || s.UserVerified
		w.topmost = w.topmost || s.PhishingResistant && s.Hardware && s.UserVerified && !f.Ambient
	}
	w.interactive = w.interactive || !f.Ambient
	named := make([]byte, len(names))
	for i, name := range names {
		named[i] = '0'
		if f.Name == name || w.proved(i) {
			named[i] = '1'
		}
	}
	w.named = string(named)
	return w
}

func (w worth) proved(i int) bool { return w.named != "" && w.named[i] == '1' }

// lost reports whether a factor of r was not proven, and no later step has it.
func (r Requirement) lost(w worth, later []Step) bool {
	for i, name := range r.Factors {
		if !w.proved(i) && !slices.ContainsFunc(later, func(s Step) bool { _, ok := s.Allows(name); return ok }) {
			return true
		}
	}
	return false
}
