package oauth

import "testing"

// The names of this machine are more than one. An issuer elsewhere must not have endpoints on any of them.
func TestEndpointOnThisMachineByAnotherName(t *testing.T) {
	for _, host := range []string{"LOCALHOST:8443", "localhost.:8443", "0.0.0.0:8443", "[::]:8443", "[::1%25lo]:8443", "idp.localhost:8443", "127.0.0.1:8443", "[::ffff:127.0.0.1]:8443"} {
		if err := checkEndpoint("https://"+host+"/token", "https://idp.example"); err == nil {
			t.Errorf("%s is taken for an endpoint of an issuer elsewhere", host)
		}
	}
}
