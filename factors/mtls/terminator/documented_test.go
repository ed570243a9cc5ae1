package terminator

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/goccy/go-yaml"
)

// documented are the configurations that are not run: the terminators are to be had elsewhere only.
var documented = map[string]Config{
	"traefik.yaml":                   {Format: Traefik, TerminatorVerifies: true},
	"traefik-dynamic.yaml":           {Format: Traefik, TerminatorVerifies: true},
	"envoy.yaml":                     {Format: Envoy, TerminatorVerifies: true},
	"aws-alb.yaml":                   {Format: AWSALBVerify, TerminatorVerifies: true},
	"cloudflare.tf.json":             {Format: Cloudflare},
	"gcp.yaml":                       {Format: GCP, Headers: Headers{Chain: "X-Client-Cert-Chain"}},
	"azure-app-service.json":         {Format: AzureAppService},
	"azure-application-gateway.json": {Format: AzureApplicationGateway, Encoding: PercentPEM},
	"kong.yaml":                      {Format: Kong, TerminatorVerifies: true},
}

// run are those that the tests start.
var run = []string{"nginx.conf", "haproxy.cfg", "apache.conf", "Caddyfile"}

const deployment = "../../../docs/deployment"

func TestDocumentedConfigurationsAreKnown(t *testing.T) {
	files, err := os.ReadDir(deployment)
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../../docs/terminators.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, ok := documented[f.Name()]; !ok && !slices.Contains(run, f.Name()) {
			t.Errorf("%s is held by no test", f.Name())
		}
		if !strings.Contains(string(guide), "(deployment/"+f.Name()+")") {
			t.Errorf("docs/terminators.md does not lead to %s", f.Name())
		}
	}
	if len(files) != len(documented)+len(run) {
		t.Errorf("%d files", len(files))
	}
}

// headerLike finds what could be the name of a header with something of a certificate.
var headerLike = regexp.MustCompile(`(?i)\b(?:x|cf)-[a-z0-9]+(?:-[a-z0-9]+)*\b`)

// A file that is not run parses, says that it is not run, and names the headers that its format reads, and no others.
func TestDocumentedConfigurationsFitTheirFormats(t *testing.T) {
	for name, c := range documented {
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(deployment, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := parses(name, string(b)); err != nil {
				t.Error(err)
			}
			if !strings.Contains(string(b[:min(len(b), 700)]), "Not run by the tests: ") {
				t.Error("it does not say at its top that it is not run")
			}
			c.Name, c.Trust = "front", []Rule{{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
			front, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			found := headerLike.FindAllString(string(b), -1)
			for _, h := range found {
				if exact, _ := front.names.is(http.CanonicalHeaderKey(h)); !exact && !slices.Contains([]string{"X-Portal-Secret", "X-Forwarded-For"}, h) {
					t.Errorf("%s is none of the format's headers", h)
				}
			}
			if name == "traefik-dynamic.yaml" {
				return // the other part says the rest
			}
			if !strings.Contains(string(b), "Format: terminator."+map[Format]string{Traefik: "Traefik", Envoy: "Envoy", AWSALBVerify: "AWSALBVerify", Cloudflare: "Cloudflare", GCP: "GCP",
				AzureAppService: "AzureAppService", AzureApplicationGateway: "AzureApplicationGateway", Kong: "Kong"}[c.Format]) {
				t.Error("it does not say which format the portal reads")
			}
			for _, h := range front.reads() {
				if !slices.ContainsFunc(found, func(f string) bool { return strings.EqualFold(f, h) }) {
					t.Errorf("%s, which the format reads, is not in it", h)
				}
			}
		})
	}
}

// reads are the headers that are read, and not only removed.
func (t *Terminator) reads() []string {
	out := append([]string{t.shape.leaf}, t.shape.chain...)
	for _, v := range t.shape.verdicts {
		out = append(out, v.Header)
	}
	if t.shape.hash != "" {
		out = append(out, t.shape.hash)
	}
	return out
}

// parses reads a file strictly.
func parses(name, text string) error {
	if strings.HasSuffix(name, ".json") {
		var any map[string]any
		return jsonv2.Unmarshal([]byte(text), &any)
	}
	d := yaml.NewDecoder(strings.NewReader(text), yaml.Strict())
	for {
		var any map[string]any
		if err := d.Decode(&any); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
