package jose

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
)

// wantFault checks that err is a fault, and for this reason.
func wantFault(t *testing.T, err error, why authn.Reason) {
	t.Helper()
	var f *Fault
	if !errors.As(err, &f) {
		t.Errorf("got %v, want a fault: %s", err, why)
	} else if f.Reason != why {
		t.Errorf("got %s, want %s", f.Reason, why)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
