package terminator

import (
	"errors"
	"fmt"
	"strconv"
)

// Format is how a terminator writes certificates into headers.
type Format string

// The formats. What each reads, and how the terminator is set up for it, is in docs/terminators.md.
const (
	RFC9440                 Format = "rfc9440"
	Nginx                   Format = "nginx"
	HAProxy                 Format = "haproxy"
	Apache                  Format = "apache"
	Caddy                   Format = "caddy"
	Traefik                 Format = "traefik"
	Envoy                   Format = "envoy"
	AWSALBVerify            Format = "aws-alb-verify"
	AWSALBPassthrough       Format = "aws-alb-passthrough"
	Cloudflare              Format = "cloudflare"
	GCP                     Format = "gcp"
	AzureAppService         Format = "azure-app-service"
	AzureApplicationGateway Format = "azure-application-gateway"
	Kong                    Format = "kong"
	Custom                  Format = "custom"
)

// formats describes what a format reads, by the configuration.
var formats = map[Format]func(*Config) (*shape, error){
	RFC9440:                 rfc9440,
	Nginx:                   nginx,
	HAProxy:                 haproxy,
	Apache:                  apache,
	Caddy:                   caddy,
	Traefik:                 traefik,
	Envoy:                   envoy,
	AWSALBVerify:            albVerify,
	AWSALBPassthrough:       albPassthrough,
	Cloudflare:              cloudflare,
	GCP:                     gcp,
	AzureAppService:         appService,
	AzureApplicationGateway: applicationGateway,
	Kong:                    kong,
	Custom:                  custom,
}

var (
	errCustom      = errors.New("a custom description goes with the format custom, and with no other")
	errEncoding    = errors.New("an encoding goes with the format azure-application-gateway, which needs PercentPEM or SpacedPEM, and with no other")
	errChainLength = errors.New("a chain length goes with Chain and the format apache: from 1 to 9")
)

// newShape describes the format of a configuration, complete and checked.
func newShape(c *Config) (*shape, error) {
	of, ok := formats[c.Format]
	switch {
	case !ok:
		return nil, fmt.Errorf("unknown format %q", c.Format)
	case (c.Custom != nil) != (c.Format == Custom):
		return nil, errCustom
	case (c.Encoding != 0) != (c.Format == AzureApplicationGateway):
		return nil, errEncoding
	case c.Format != Apache && c.Headers.ChainLength != 0:
		return nil, errChainLength
	}
	s, err := of(c)
	if err != nil {
		return nil, err
	}
	s.others = append(s.others, c.Headers.Others...)
	return s, s.complete()
}

// or is a header's name, or the one it has by default.
func or(name, byDefault string) string {
	if name == "" {
		return byDefault
	}
	return name
}

// only refuses names of headers that a format does not have: those of h that are not empty once what it has is.
func only(h Headers) error {
	for _, name := range []struct{ field, value string }{
		{"Certificate", h.Certificate}, {"Chain", h.Chain}, {"Verdict", h.Verdict}, {"Present", h.Present},
		{"Error", h.Error}, {"Fingerprint", h.Fingerprint},
	} {
		if name.value != "" {
			return fmt.Errorf("the format has no header Headers.%s that could be named", name.field)
		}
	}
	return nil
}

// numbered are the names of a chain with a header for each certificate.
func numbered(prefix string, n int) []string {
	var names []string
	for i := range n {
		names = append(names, prefix+strconv.Itoa(i))
	}
	return names
}
