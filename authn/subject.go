package authn

import "errors"

// ErrContradiction reports evidence whose subject is not the subject already known.
var ErrContradiction = errors.New("authn: the evidence names another subject")

// Subject is what is known of a caller: nothing (the zero value), a tenant, or a tenant and a user. Both fields are ids,
// never names. Class says whose id User is.
type Subject struct {
	Tenant string `json:"tenant,omitempty"`
	User   string `json:"user,omitempty"`
	Class  Class  `json:"device,omitempty"`
}

// Valid reports whether s is a subject that can exist: a user needs a tenant, a device or workload is a user.
func (s Subject) Valid() bool {
	return (s.User == "" || s.Tenant != "") && s.Class.Known() && (s.Class == ClassPerson || s.User != "")
}

// Narrow adds what more says to s. A tenant or a user once known is never replaced: anything that differs is
// [ErrContradiction], and so is a subject that cannot exist.
func (s Subject) Narrow(more Subject) (Subject, error) {
	if !s.Valid() || !more.Valid() {
		return s, ErrContradiction
	}
	switch {
	case more.Tenant == "":
		return s, nil
	case s.Tenant == "":
		return more, nil
	case s.Tenant != more.Tenant:
		return s, ErrContradiction
	case more.User == "":
		return s, nil
	case s.User == "":
		return more, nil
	case s.User != more.User || s.Class != more.Class:
		return s, ErrContradiction
	}
	return s, nil
}

// Names are what people call a subject. They are shown and logged, never compared.
type Names struct {
	Tenant string `json:"tenant,omitempty"`
	User   string `json:"user,omitempty"`
}

func (n Names) with(more Names) Names {
	if more.Tenant != "" {
		n.Tenant = more.Tenant
	}
	if more.User != "" {
		n.User = more.User
	}
	return n
}
