package authn

import "slices"

// once authenticates a request by itself: a login whose steps are all passed at one moment, through the one door.
func once(s State, e Once) (Transition, error) {
	refuse := func(why Reason) (Transition, error) { return Transition{}, illegal(s, e, why) }
	if e.ID == "" || e.Method.Check() != nil || !e.Method.EachRequest {
		return refuse(ReasonIllegal)
	}
	if len(e.Evidence) != len(e.Method.Steps) {
		return refuse(ReasonWrongStep)
	}
	subject, why := e.Method.together(Subject{}, e.Evidence, e.At)
	if why != "" {
		return refuse(why)
	}
	l := Login{ID: e.ID, Method: e.Method, Subject: subject, Evidence: slices.Clip(e.Evidence), Began: e.At}
	for i := range l.Evidence {
		l.Names = l.Names.with(l.Evidence[i].Names)
	}
	principal, why := l.promote(e.Check, e.At, nil)
	if why != "" {
		return refuse(why)
	}
	return to(enter(principal, Authenticated{}))
}

// single reports whether a request can pass the method by itself: it needs no device beneath, and nothing is asked.
func (m Method) single() bool { return m.On == "" && m.leading() == len(m.Steps) }

// OneRequest reports whether the principal was authenticated for one request ([Once]), and is of no session.
func (a Authenticated) OneRequest() bool {
	return a.person.ofOneRequest() || a.unattended.ofOneRequest()
}

func (p *Principal) ofOneRequest() bool { return p != nil && p.Method.EachRequest }
