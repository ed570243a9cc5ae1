package fido2_test

import (
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors/factortest"
	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
)

func TestConformance(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	b.enrol(a, b.alice)
	factortest.Run(t, factortest.Suite{Factor: b.factor, Request: b.request(authn.Subject{}), Good: a.Get})
}
