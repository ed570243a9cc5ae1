package terminator

import (
	"errors"
	"testing"
)

func TestTheClientIsTheLastHopThatIsNoProxy(t *testing.T) {
	const name = "X-Forwarded-For"
	c := config(Nginx)
	c.Client = ClientAddress{Header: name, Proxies: networks("10.0.0.0/8")}
	front := build(t, c)
	for _, of := range []struct {
		name string
		sent headers
		want string
	}{
		{"one", headers{name, "203.0.113.7"}, "203.0.113.7"},
		{"the client's own before it", headers{name, "1.2.3.4, 203.0.113.7"}, "203.0.113.7"},
		{"proxies behind it", headers{name, "1.2.3.4, 203.0.113.7, 10.0.0.1,10.0.0.2"}, "203.0.113.7"},
		{"on several lines", headers{name, "1.2.3.4", name, "203.0.113.7", name, "10.0.0.1"}, "203.0.113.7"},
		{"with a port", headers{name, "203.0.113.7:4711"}, "203.0.113.7"},
		{"IPv6", headers{name, "2001:db8::1"}, "2001:db8::1"},
		{"IPv6 with a port", headers{name, "[2001:db8::1]:4711"}, "2001:db8::1"},
		{"IPv4 in IPv6", headers{name, "::ffff:203.0.113.7"}, "203.0.113.7"},
		{"nothing but proxies", headers{name, "10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"garbage before a proxy", headers{name, "unknown, 10.0.0.2"}, "10.0.0.2"},
		{"garbage", headers{name, "203.0.113.7, unknown"}, "invalid IP"},
		{"a zone", headers{name, "fe80::1%eth0"}, "invalid IP"},
		{"empty", headers{name, ""}, "invalid IP"},
		{"none", nil, "invalid IP"},
		{"another header", headers{"X-Real-IP", "1.2.3.4"}, "invalid IP"},
	} {
		t.Run(of.name, func(t *testing.T) {
			r := request(of.sent.with(verdict, "NONE"))
			if got := front.See(r).Client.String(); got != of.want {
				t.Errorf("got %s, want %s", got, of.want)
			}
			r = request(of.sent.with(verdict, "NONE"))
			r.RemoteAddr = "192.0.2.1:1234"
			if got := front.See(r).Client; got.IsValid() {
				t.Errorf("a stranger named %s", got)
			}
			r = request(of.sent.with(verdict, "NONE"))
			if got := builtFor(t, Nginx).See(r).Client; got.IsValid() {
				t.Errorf("nobody said that the header is the terminator's, and it named %s", got)
			}
		})
	}
}

// Whoever sends what is refused is named all the same: his failures are counted.
func TestTheClientOfARefusedRequestIsNamed(t *testing.T) {
	c := config(Nginx)
	c.Client.Header = "X-Forwarded-For"
	seen := build(t, c).See(request(headers{"X-Forwarded-For", "203.0.113.7"}))
	wantRejection(t, seen.Refused, ReasonMissing)
	if seen.Client.String() != "203.0.113.7" {
		t.Errorf("client %v", seen.Client)
	}
}

// Forwarded (RFC 7239) is no list of addresses: read as one it would make the terminator the client of everybody, and one
// visitor's failures would be everybody's.
func TestForwardedIsNoListOfAddresses(t *testing.T) {
	for _, name := range []string{"Forwarded", "forwarded"} {
		c := config(Nginx)
		c.Client.Header = name
		if _, err := New(c); !errors.Is(err, errForwarded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
