package authn

import "time"

// At is the state in force at the time now: what has passed its deadline is gone. touched is when the caller was last
// seen, for idle limits; zero leaves them out. changed says that the state in force is not the one given. A changed
// state must be saved before a later touch is, or the touch would bring back what had idled out.
func At(s State, now, touched time.Time) (_ State, changed bool) {
	switch s := s.(type) {
	case Authenticating:
		if !now.Before(s.Login.Deadline) {
			return Guest{}, true
		}
	case Pending:
		if !now.Before(s.Onboarding.Login.Deadline) {
			return Guest{}, true
		}
	case Authenticated:
		if live, changed := s.at(now, touched); changed {
			return live, true
		}
	}
	return s, false
}

// at is At for a session. The state is nil where nothing changed: a guard asks on every request, and a copy is an
// allocation.
func (a Authenticated) at(now, touched time.Time) (State, bool) {
	if why := a.unattended.over(now, touched); why != "" {
		return Ended{Reason: why, At: now}, true
	}
	changed := false
	if why := a.person.over(now, touched); why != "" {
		if a.unattended == nil {
			return Ended{Reason: why, At: now}, true
		}
		a.person, a.running, changed = nil, nil, true
	}
	if a.person == nil && a.unattended == nil {
		return Ended{Reason: ReasonIllegal, At: now}, true
	}
	if deadline := runningDeadline(a.running); !deadline.IsZero() && !now.Before(deadline) {
		a.running, changed = nil, true
	}
	if !changed {
		return nil, false
	}
	return a, true
}

func runningDeadline(r Running) time.Time {
	switch r := r.(type) {
	case StepUp:
		return r.Login.Deadline
	case SignOn:
		return r.Login.Deadline
	case Enrolling:
		return r.Challenge.Expires
	case Onboarding:
		return r.Login.Deadline
	default:
		return time.Time{}
	}
}

func (p *Principal) over(now, touched time.Time) Reason {
	switch {
	case p == nil:
		return ""
	case !now.Before(p.Deadline):
		return ReasonExpired
	case p.Idle > 0 && !touched.IsZero() && now.Sub(touched) >= p.Idle:
		return ReasonIdle
	}
	return ""
}

// Untied is the part of a session that is in force on a request which does not carry the certificate of one of its
// principals: without the person the device is left, without the device nothing is. It is a view for one request.
func (a Authenticated) Untied(person, device bool) State {
	switch {
	case device && a.unattended != nil, person && a.unattended == nil:
		return Guest{}
	case person:
		a.person, a.running = nil, nil
	}
	return a
}

// Tie is the tie of what runs inside the session, if it has proven one.
func (a Authenticated) RunningTie() (Tie, bool) {
	switch r := a.running.(type) {
	case StepUp:
		return r.Login.Tie()
	case SignOn:
		return r.Login.Tie()
	case Onboarding:
		return r.Login.Tie()
	default:
		return Tie{}, false
	}
}

// WithoutRunning is the session with nothing running inside it: a view for one request.
func (a Authenticated) WithoutRunning() Authenticated { return a.with(nil) }
