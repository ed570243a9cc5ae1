package revocation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/authn/policy"
)

const (
	defaultTimeout = 3 * time.Second
	maxTimeout     = 10 * time.Second
	maxSources     = 8
	minAge         = time.Minute
	stepUpUntil    = 24 * time.Hour // how long what is too old passes with a further factor, if the policy does not say
)

// Settings is what the policy file says about revocation, checked. It is never changed.
type Settings struct {
	Files           []File
	Addresses       []string      // of lists
	Responder       string        // address; empty: none is given
	FromCertificate bool          // a responder is asked where a certificate names one (authorityInfoAccess)
	Nonce           bool          // answers without the nonce of the question are refused
	Timeout         time.Duration // of a responder
	MaxAge          time.Duration // of what is known of a certificate; zero: it says so itself
	AuthorityMaxAge time.Duration // of what is known of a CA; zero: as MaxAge
	AllowStale      time.Duration // how long what is too old passes
	StepUp          []string      // factors whose evidence is wanted besides while it does
	LeafOnly        bool          // of CAs between leaf and anchor nothing need be known
}

// File is a file of lists.
type File struct {
	Path  string
	Lists []*List
}

// Written is the section as it stands in the policy file.
type Written struct {
	CRL         []string                     `yaml:"crl"`
	OCSP        string                       `yaml:"ocsp"`
	Nonce       string                       `yaml:"nonce"`
	Timeout     time.Duration                `yaml:"timeout"`
	MaxAge      time.Duration                `yaml:"max_age"`
	MaxAgeOfCAs time.Duration                `yaml:"max_age_of_cas"`
	Stale       *policy.TextOr[WrittenStale] `yaml:"stale"`
	Required    string                       `yaml:"required"`
}

// WrittenStale is what an answer that is too old costs.
type WrittenStale struct {
	AllowUntil time.Duration `yaml:"allow_until"`
	StepUp     []string      `yaml:"step_up"`
}

// Section is the part of [policy.Section] that settings are read from.
type Section interface {
	Errorf(path, format string, args ...any) error
	ReadFile(path string) ([]byte, error)
	Resolve(path string) string
}

// Read checks what the policy file says under the key of a section. Its errors have positions. Files are read at once, and
// read again when the policy is.
func Read(at Section, key string, w Written) (*Settings, error) {
	r := reader{at, key, &Settings{}}
	for _, read := range []func(Written) error{r.lists, r.responder, r.ages, r.stale, r.required} {
		if err := read(w); err != nil {
			return nil, err
		}
	}
	return r.into, nil
}

type reader struct {
	at   Section
	key  string
	into *Settings
}

func (r reader) errorf(path, format string, args ...any) error {
	return r.at.Errorf(strings.TrimSuffix(r.key+"."+path, "."), format, args...)
}

func (r reader) lists(w Written) error {
	if len(w.CRL) == 0 && w.OCSP == "" {
		return r.errorf("", "crl or ocsp is needed: where to look")
	}
	if len(w.CRL) > maxSources {
		return r.errorf("crl", "more than %d: put several lists into one file, one PEM block after another", maxSources)
	}
	for i, from := range w.CRL {
		path := fmt.Sprintf("crl[%d]", i)
		if slices.Contains(w.CRL[:i], from) {
			return r.errorf(path, "%q twice", from)
		}
		if strings.Contains(from, "://") {
			if err := parseAddress(from); err != nil {
				return r.errorf(path, "%v", err)
			}
			r.into.Addresses = append(r.into.Addresses, from)
			continue
		}
		if err := r.file(path, from); err != nil {
			return err
		}
	}
	return nil
}

func (r reader) file(path, name string) error {
	b, err := r.at.ReadFile(name)
	if err != nil {
		return r.errorf(path, "cannot be read: %v", err)
	}
	lists, err := ParseLists(b)
	if err != nil {
		return r.errorf(path, "cannot be used: %v", err)
	}
	r.into.Files = append(r.into.Files, File{r.at.Resolve(name), lists})
	return nil
}

func (r reader) responder(w Written) error {
	switch {
	case w.OCSP == "aia":
		r.into.FromCertificate = true
	case w.OCSP != "":
		if err := parseAddress(w.OCSP); err != nil {
			return r.errorf("ocsp", "%v; or write aia, for the responder that a certificate names", err)
		}
		r.into.Responder = w.OCSP
	case w.Nonce != "" || w.Timeout != 0:
		return r.errorf("", "nonce and timeout mean nothing without ocsp")
	}
	if w.Nonce != "" && w.Nonce != "required" {
		return r.errorf("nonce", "%q is not known; there is required", w.Nonce)
	}
	r.into.Nonce = w.Nonce != ""
	if r.into.Timeout = w.Timeout; w.Timeout == 0 {
		r.into.Timeout = defaultTimeout
	}
	if r.into.Timeout > maxTimeout {
		return r.errorf("timeout", "is %v at the most: a request waits for it", maxTimeout)
	}
	return nil
}

func (r reader) ages(w Written) error {
	for key, age := range map[string]time.Duration{"max_age": w.MaxAge, "max_age_of_cas": w.MaxAgeOfCAs} {
		if age != 0 && age < minAge {
			return r.errorf(key, "is %v at the least: what is fetched needs some time", minAge)
		}
	}
	if w.MaxAgeOfCAs > 0 && w.MaxAge == 0 {
		return r.errorf("max_age_of_cas", "means nothing without max_age")
	}
	r.into.MaxAge, r.into.AuthorityMaxAge = w.MaxAge, w.MaxAgeOfCAs
	return nil
}

func (r reader) stale(w Written) error {
	switch {
	case w.Stale == nil || w.Stale.Mapping == nil && w.Stale.Text == "refuse":
		return nil
	case w.Stale.Mapping == nil:
		return r.errorf("stale", "%q is not known; there are refuse, allow_until: a duration, step_up: factors", w.Stale.Text)
	case len(w.Stale.Mapping.StepUp) == 0 && w.Stale.Mapping.AllowUntil == 0:
		return r.errorf("stale", "allow_until or step_up is needed")
	}
	r.into.AllowStale, r.into.StepUp = w.Stale.Mapping.AllowUntil, w.Stale.Mapping.StepUp
	if r.into.AllowStale == 0 {
		r.into.AllowStale = stepUpUntil
	}
	return nil
}

func (r reader) required(w Written) error {
	switch w.Required {
	case "", "path":
	case "leaf":
		r.into.LeafOnly = true
	default:
		return r.errorf("required", "%q is not known; there are path, leaf", w.Required)
	}
	return nil
}
