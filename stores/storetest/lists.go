package storetest

import (
	"bytes"
	"context"
	"testing"

	"github.com/sallyport-auth/sallyport/factors/mtls/revocation"
)

// RunLists proves a store of fetched lists. open makes an empty one, and is called once for each test.
func RunLists(t *testing.T, open func(t *testing.T) revocation.Store) {
	for name, test := range map[string]func(*testing.T, revocation.Store){
		"a name has its last value": listReplaced, "saved whole": listWhole, "cancelled contexts": listCancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func wantsList(t *testing.T, s revocation.Store, name string, want []byte) {
	t.Helper()
	if got, err := s.Load(t.Context(), name); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%q has %d bytes, %v, and not the %d that were saved", name, len(got), err, len(want))
	}
}

func savesList(t *testing.T, s revocation.Store, name string, value []byte) {
	t.Helper()
	if err := s.Save(t.Context(), name, value); err != nil {
		t.Fatal(err)
	}
}

// listReplaced: exact names, the last value, none for a name that was never saved.
func listReplaced(t *testing.T, s revocation.Store) {
	if got, err := s.Load(t.Context(), "device\nhttp://crl.example/1"); got != nil || err != nil {
		t.Fatalf("what nobody saved has %d bytes, %v", len(got), err)
	}
	value := []byte("one \x00 two")
	savesList(t, s, "device\nhttp://crl.example/1", value)
	copy(value, "xxx") // the caller's
	savesList(t, s, "DEVICE\nhttp://crl.example/1", []byte("other case"))
	wantsList(t, s, "device\nhttp://crl.example/1", []byte("one \x00 two"))
	savesList(t, s, "device\nhttp://crl.example/1", []byte("three"))
	wantsList(t, s, "device\nhttp://crl.example/1", []byte("three"))
	wantsList(t, s, "DEVICE\nhttp://crl.example/1", []byte("other case"))
	savesList(t, s, "DEVICE\nhttp://crl.example/1", nil)
	wantsList(t, s, "DEVICE\nhttp://crl.example/1", nil)
}

// listWhole: of several that save at once one wins, with all of its value.
func listWhole(t *testing.T, s revocation.Store) {
	const size = 1 << 20
	for _, err := range race(8, func(i int) error {
		return s.Save(t.Context(), "list", bytes.Repeat([]byte{byte(i)}, size))
	}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Load(t.Context(), "list")
	if err != nil || len(got) != size || !bytes.Equal(got, bytes.Repeat(got[:1], size)) {
		t.Fatalf("%d bytes that nobody saved so, %v", len(got), err)
	}
}

// listCancelled: a context that has ended changes nothing.
func listCancelled(t *testing.T, s revocation.Store) {
	savesList(t, s, "list", []byte("kept"))
	ended, end := context.WithCancel(t.Context())
	end()
	if err := s.Save(ended, "list", []byte("late")); err == nil {
		t.Error("saved with a context that had ended")
	}
	if _, err := s.Load(ended, "list"); err == nil {
		t.Error("loaded with a context that had ended")
	}
	wantsList(t, s, "list", []byte("kept"))
}
