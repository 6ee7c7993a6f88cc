package server

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/cosigntest"
	"github.com/towpath/towpath/internal/trust"
)

// TestServer_GatesTakeWhatCosignAttaches has the real cosign sign a release and
// attest to it in our registry. What it pushes has the form of its library, not
// ours: the harness, which pushes with our own code, can't tell.
func TestServer_GatesTakeWhatCosignAttaches(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		h.gates = towpath.GateRules{
			Signed:     &towpath.SignedRule{Count: 1, Keys: []towpath.KeyName{"builder"}},
			Provenance: &towpath.ProvenanceRule{Builders: []string{"https://ci.example.com"}},
			SBOM:       &towpath.SBOMRule{},
		}
		one := h.publish("1.0.0", "one")
		c := cosigntest.New(t)
		here := strings.TrimPrefix(h.s.URL(), "http://")
		pusher := h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser)
		c.Must("login", here, "-u", pusher.Target.User, "-p", pusher.Target.Secret)
		run := func(verb string, args ...string) {
			t.Helper()
			args = append([]string{verb, "--tlog-upload=false", "--use-signing-config=false", "--allow-http-registry", "--yes"}, args...)
			c.Must(append(args, here+"/"+string(shop)+"@"+string(one.Release))...)
		}
		attest := func(predicateType string, predicate any) {
			t.Helper()
			b, err := json.Marshal(predicate)
			must(t, 0, err)
			c.Write("predicate.json", b)
			run("attest", "--key", "cosign.key", "--type", predicateType, "--predicate", "predicate.json")
		}
		c.Must("generate-key-pair", "--output-key-prefix", "stranger")
		c.Must("generate-key-pair")
		const reviewed = "https://example.com/reviewed/v1"
		must(t, 0, h.trusts("builder", string(c.Read("cosign.pub")), func(r *trust.AddRequest) {
			r.Types = []towpath.EvidenceType{towpath.EvidenceSignature, towpath.EvidenceProvenance, towpath.EvidenceSBOM, reviewed}
		}))

		run("sign", "--key", "stranger.key")
		h.reason("dev", "1.0.0", towpath.GateSigned, "which is not trusted")
		run("sign", "--key", "cosign.key")
		h.reason("dev", "1.0.0", towpath.GateProvenance, "No provenance that counts")
		attest("slsaprovenance1", map[string]any{
			"buildDefinition": map[string]any{
				"buildType": "https://ci.example.com/build", "externalParameters": map[string]any{},
				"resolvedDependencies": []any{map[string]any{
					"uri": "git+https://git.example.com/shop@refs/heads/main", "digest": map[string]any{"gitCommit": string(one.Commit)},
				}},
			},
			"runDetails": map[string]any{"builder": map[string]any{"id": "https://ci.example.com"}},
		})
		h.reason("dev", "1.0.0", towpath.GateSBOM, "bill")
		attest("cyclonedx", map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.6"})
		h.runs("dev", "1.0.0")

		t.Run("and people see what it says, also what no gate asks for", func(t *testing.T) {
			attest(reviewed, map[string]any{"by": "eva"})
			got, err := h.svc.Trust.Evidence(context.Background(), h.ana, shop, "1.0.0", "dev")
			must(t, 0, err)
			var held []string
			for _, s := range got.Statements {
				switch {
				case s.Type == towpath.EvidencePromotion:
				case s.Verified() && s.Key == "builder":
					held = append(held, evidence.URI(s.Type))
				case s.Type != towpath.EvidenceSignature || !strings.Contains(s.Refused, "not trusted"):
					t.Errorf("got %+v", s)
				}
			}
			slices.Sort(held)
			if want := []string{evidence.TypeSBOM, reviewed, evidence.TypeSignature, evidence.TypeProvenance}; !slices.Equal(held, want) {
				t.Errorf("held %q, want %q", held, want)
			}
		})
	})
}
