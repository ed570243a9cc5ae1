package fido2_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/factors/fido2/fido2test"
)

func TestTarget(t *testing.T) {
	b := newBench(t, "")
	a := fido2test.New(origin)
	c := b.enrol(a, b.alice)
	answer := b.answer(a, authn.Subject{}).Credential
	if got := b.factor.Target(answer); got != c.ID {
		t.Errorf("a good answer is about %q, want %q", got, c.ID)
	}
	for _, tail := range []string{"=", `\n`} { // what is verified is also what is counted
		v := b.answer(a, authn.Subject{})
		text := `"rawId":"` + c.ID
		v.Credential = bytes.Replace(v.Credential, []byte(text), []byte(text+tail), 1)
		if err := b.verify(v); err != nil || b.factor.Target(v.Credential) != c.ID {
			t.Errorf("with %q: %q, %v", tail, b.factor.Target(v.Credential), err)
		}
	}
	id := func(n int) string { return base64.RawURLEncoding.EncodeToString(make([]byte, n)) }
	about := func(text string) string { return fmt.Sprintf(`{"id":%q,"rawId":%q}`, text, text) }
	for _, tt := range []struct{ name, credential, want string }{
		{"a short id", about("AQ"), "AQ"},
		{"the longest id", about(id(1023)), id(1023)},
		{"an id that is too long", about(id(1024)), ""},
		{"another spelling: bits that say nothing", about("AR"), "AQ"},
		{"another spelling: padding", about("AQ=="), "AQ"},
		{"another spelling: a line feed", about("A\nQ"), "AQ"},
		{"another spelling: an escape", `{"id":"AQ","rawId":"\u0041Q"}`, "AQ"},
		{"no id", `{"id":"AQ"}`, ""},
		{"an empty id", about(""), ""},
		{"no base64url", about("A+"), ""},
		{"another type", `{"id":"AQ","rawId":1}`, ""},
		{"a name twice", `{"id":"AQ","rawId":"AQ","rawId":"AQ"}`, ""},
		{"trailing data", about("AQ") + "{}", ""},
		{"a list", `["AQ"]`, ""},
		{"null", `null`, ""},
		{"nothing", ``, ""},
		{"no JSON", `{"id":"AQ","rawId":"AQ"`, ""},
		{"no UTF-8", "{\"id\":\"AQ\",\"rawId\":\"AQ\",\"x\":\"\xff\"}", ""},
		{"more than a credential may be", `{"id":"AQ","rawId":"AQ","x":"` + strings.Repeat("x", 64<<10) + `"}`, ""},
	} {
		if got := b.factor.Target(json.RawMessage(tt.credential)); got != tt.want {
			t.Errorf("%s: %.20q, want %.20q", tt.name, got, tt.want)
		}
	}
}
