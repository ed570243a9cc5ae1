package authn_test

import (
	"time"

	"github.com/sallyport-auth/sallyport/authn"
)

// What the tests of the machine speak of: two tenants that both have an alice, a certificate, a passkey, a typed code, and
// the certificates of a kiosk and of a program.
var (
	t0 = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

	corpAlice = authn.Subject{Tenant: "corp", User: "corp-alice"}
	corpBob   = authn.Subject{Tenant: "corp", User: "corp-bob"}
	labsAlice = authn.Subject{Tenant: "labs", User: "labs-alice"}
	lobby     = authn.Subject{Tenant: "corp", User: "corp-lobby", Class: authn.ClassDevice}
	backup    = authn.Subject{Tenant: "corp", User: "corp-backup", Class: authn.ClassWorkload}

	fCert    = authn.Factor{Name: "cert", Kind: "mtls", Ambient: true, Tied: true, Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Have, PhishingResistant: true}, AMR: []string{"swk"}}
	fPasskey = authn.Factor{Name: "passkey", Kind: "fido2", Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Have, PhishingResistant: true, UserVerified: true}, AMR: []string{"hwk", "user"}}
	fCode    = authn.Factor{Name: "code", Kind: "typed", Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Know}, AMR: []string{"pin"}}
	fKiosk   = authn.Factor{Name: "kiosk-cert", Kind: "mtls", Ambient: true, Tied: true, Class: authn.ClassDevice, Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Have, PhishingResistant: true}, AMR: []string{"swk"}}
	fJob     = authn.Factor{Name: "job-cert", Kind: "mtls", Ambient: true, Tied: true, Class: authn.ClassWorkload, Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Have, PhishingResistant: true}, AMR: []string{"swk"}}

	fToken = authn.Factor{Name: "token", Kind: "jwt", Ambient: true, Identifies: authn.IdentifiesUser, Best: authn.Strength{Category: authn.Have}, AMR: []string{"swk"}}
	fRobot = authn.Factor{Name: "robot", Kind: "jwt", Ambient: true, Best: authn.Strength{Category: authn.Have}}

	mService = authn.Method{Name: "service", Steps: []authn.Step{one(fCert), {AnyOf: []authn.Factor{fToken, fRobot}}}, EachRequest: true}
	mSensor  = authn.Method{Name: "sensor", Steps: []authn.Step{one(fKiosk)}, EachRequest: true}
	mCron    = authn.Method{Name: "cron", Steps: []authn.Step{one(fJob), one(fRobot)}, EachRequest: true}

	mAdmin     = authn.Method{Name: "admin", Steps: []authn.Step{one(fCert), one(fPasskey)}, Session: authn.Lifetime{Idle: 15 * time.Minute, Absolute: 8 * time.Hour}}
	mChoice    = authn.Method{Name: "choice", Steps: []authn.Step{one(fCert), {AnyOf: []authn.Factor{fPasskey, fCode}}}, Session: authn.Lifetime{Absolute: time.Hour}}
	mKiosk     = authn.Method{Name: "kiosk", Steps: []authn.Step{one(fKiosk)}, Session: authn.Lifetime{Absolute: 24 * time.Hour}}
	mJob       = authn.Method{Name: "job", Steps: []authn.Step{one(fJob)}, Session: authn.Lifetime{Idle: time.Hour, Absolute: 10 * time.Hour}}
	mAttendant = authn.Method{Name: "attendant", On: "kiosk", Steps: []authn.Step{one(fPasskey)}, Session: authn.Lifetime{Idle: 5 * time.Minute, Absolute: time.Hour}}
)

func one(f authn.Factor) authn.Step { return authn.Step{AnyOf: []authn.Factor{f}} }

// evidence is what a factor proves of a subject at a time.
func evidence(f authn.Factor, of authn.Subject, at time.Time) authn.Evidence {
	e := authn.Evidence{Factor: f.Name, Kind: f.Kind, Subject: of, Names: authn.Names{Tenant: of.Tenant, User: of.User}, Credential: f.Name + " of " + of.User,
		AMR: f.AMR, Strength: f.Best, Ambient: f.Ambient, At: at}
	if f.Tied {
		e.Tie = &authn.Tie{Bind: authn.BindKey, Certificate: [32]byte{byte(len(of.User))}, Anchor: "staff", Source: "tls"}
	}
	return e
}

func begin(m authn.Method, at time.Time) authn.Begin {
	return authn.Begin{At: at, ID: "login of " + m.Name, Method: m}
}

func issue(f authn.Factor, id string, at time.Time) authn.Issue {
	return authn.Issue{At: at, Challenge: authn.Challenge{ID: id, Factor: f.Name, Issued: at, Expires: at.Add(5 * time.Minute)}}
}

// prove is a proof with everything in order at the end.
func prove(f authn.Factor, of authn.Subject, challenge string, at time.Time) authn.Prove {
	return authn.Prove{At: at, Evidence: evidence(f, of, at), Challenge: challenge, Check: &authn.Check{Subject: of, OnOffer: true}}
}

// once is a request that carries evidence of these factors, with everything in order.
func once(m authn.Method, of authn.Subject, at time.Time, factors ...authn.Factor) authn.Once {
	e := authn.Once{At: at, ID: "request by " + m.Name, Method: m, Check: &authn.Check{Subject: of, OnOffer: true}}
	for _, f := range factors {
		said := of
		if f.Identifies == authn.IdentifiesNothing {
			said = authn.Subject{}
		}
		e.Evidence = append(e.Evidence, evidence(f, said, at))
	}
	return e
}

// after applies events one after another and gives the state; all must be allowed.
func after(s authn.State, events ...authn.Event) authn.State {
	for _, e := range events {
		t, err := authn.Apply(s, e)
		if err != nil {
			panic(err)
		}
		s = t.State
	}
	return s
}

func person() authn.State {
	return after(authn.Guest{}, begin(mAdmin, t0), prove(fCert, corpAlice, "", t0), issue(fPasskey, "c1", t0), prove(fPasskey, corpAlice, "c1", t0))
}

func device() authn.State {
	return after(authn.Guest{}, begin(mKiosk, t0), prove(fKiosk, lobby, "", t0))
}

func workload() authn.State {
	return after(authn.Guest{}, begin(mJob, t0), prove(fJob, backup, "", t0))
}

func personOnDevice() authn.State {
	return after(device(), begin(mAttendant, t0), issue(fPasskey, "c2", t0), prove(fPasskey, corpAlice, "c2", t0))
}

func redeem(at time.Time) authn.Redeem {
	return authn.Redeem{At: at, ID: "workflow", Method: mAdmin, Evidence: []authn.Evidence{evidence(fCert, corpAlice, at)}, Subject: corpAlice, Invitation: "i",
		Factors: []string{"passkey"}, Deadline: at.Add(30 * time.Minute)}
}

func enrolChallenge(id string, at time.Time) authn.Issue {
	e := issue(fPasskey, id, at)
	e.Enrolment = true
	return e
}
