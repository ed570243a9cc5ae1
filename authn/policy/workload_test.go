package policy

import (
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
)

const workloadText = `version: 1
origin: https://portal.example
factors:
  svid: { kind: fake, proves: workload, ambient: true, tied: true }
  token: { kind: fake, proves: workload, ambient: true, single: true }
  robot: { kind: fake, proves: nothing, ambient: true, single: true }
  org: { kind: fake, proves: tenant, ambient: true }
  cert: { kind: fake, proves: user, ambient: true }
  box: { kind: fake, proves: device, ambient: true }
  key: { kind: fake, proves: user }
  pin: { kind: fake, proves: nothing }
methods:
  job: { steps: [svid] }
  kiosk: { steps: [box] }
  m: STEPS
rules:
  - { methods: [job, m] }
`

func TestWorkloads(t *testing.T) {
	folder := folderWith(t)
	for _, steps := range []string{"{ steps: [svid, token], each_request: true }", "{ steps: [svid, robot], each_request: true }", "{ steps: [org, svid] }",
		"{ steps: [svid], each_request: true }", "{ steps: [{ any_of: [svid, token] }], each_request: true }"} {
		p, err := parseIn(folder, strings.Replace(workloadText, "STEPS", steps, 1))
		if err != nil {
			t.Errorf("%s: %v", steps, err)
			continue
		}
		m, _ := p.Method("m")
		if !m.Makes(authn.ClassWorkload) || m.Makes(authn.ClassDevice) || m.Makes(authn.ClassPerson) {
			t.Errorf("%s makes somebody else", steps)
		}
	}
}

// What is for people or devices is never part of a method for programs, and nothing runs above one.
func TestBrokenWorkloads(t *testing.T) {
	folder := folderWith(t)
	for _, c := range []struct{ steps, says string }{
		{"{ steps: [svid, ^cert] }", `method "m" is for workloads: "cert" names a person`},
		{"{ steps: [^cert, svid] }", `method "m" is for workloads: "cert" names a person`},
		{"{ steps: [svid, ^box] }", `method "m" is for workloads: "box" names a device`},
		{"{ steps: [^box, svid] }", `method "m" is for workloads: "box" names a device`},
		{"{ steps: [{ any_of: [svid, ^box] }] }", `method "m" is for workloads: "box" names a device`},
		{"{ steps: [{ any_of: [^cert, svid] }] }", `method "m" is for workloads: "cert" names a person`},
		{"{ steps: [svid, ^cert], each_request: true }", `method "m" is for workloads: "cert" names a person`},
		{"{ steps: [svid, ^key] }", `method "m" is for workloads: "key" must be asked`},
		{"{ steps: [svid, ^pin] }", `method "m" is for workloads: "pin" must be asked`},
		{"{ steps: [svid], on: ^kiosk }", `method "m" makes a workload, which is on no device`},
		{"{ steps: [svid], on: ^job }", `method "m" makes a workload, which is on no device`},
		{"{ steps: [key], on: ^job }", `method "m": "job" makes a workload, and nobody signs in on a program`},
		{"{ steps: [box], on: ^job }", `method "m": "job" makes a workload, and nobody signs in on a program`},
	} {
		checkText(t, folder, strings.Replace(workloadText, "STEPS", c.steps, 1), c.says)
	}
}
