package server

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/trust"
)

func TestServer_ARevokedKeyTakesWhatOnlyItSigned(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := context.Background()
		c := h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser)
		lost, lostPEM := signingKey(t)
		kept, keptPEM := signingKey(t)
		must(t, 0, h.trusts("lost", lostPEM))
		must(t, 0, h.trusts("kept", keptPEM))
		h.gates = towpath.GateRules{Signed: &towpath.SignedRule{Count: 1}}
		publish := func(version string, keys ...*signing.Key) towpath.Candidate {
			x := h.publish(version, version)
			for _, k := range keys {
				h.signs(c, k, x.Release)
			}
			return x
		}
		both := publish("1.0.0", lost, kept)
		only := publish("1.1.0", lost)
		h.runs("dev", "1.1.0")
		other := publish("1.2.0", kept)
		h.runs("dev", "1.2.0")
		h.publish("1.3.0", "nobody's")

		_, err := h.svc.Trust.Revoke(ctx, h.ana, "lost", "it was on a laptop", false)
		must(t, 0, err)
		quarantine := func(d towpath.Digest) *towpath.Quarantine {
			r, err := h.svc.Releases.Get(ctx, h.ana, shop, string(d))
			must(t, 0, err)
			return r.Quarantine
		}
		h.until("what only it signed is quarantined", func() bool { return quarantine(only.Release) != nil })
		if q := quarantine(only.Release); q.By != towpath.System().Account || !strings.Contains(q.Reason, "only the key lost signed it, which was revoked by ana: it was on a laptop") {
			t.Errorf("got %+v", q)
		}
		for _, x := range []towpath.Candidate{both, other} {
			if quarantine(x.Release) != nil {
				t.Errorf("%s is quarantined too", x.Version)
			}
		}
		t.Run("nothing that it signs counts any more", func(t *testing.T) {
			publish("1.4.0", lost)
			h.reason("dev", "1.4.0", towpath.GateSigned, "was revoked: it was on a laptop")
		})
		t.Run("it is not trusted again", func(t *testing.T) {
			if err := h.trusts("again", lostPEM); towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), "revoked") {
				t.Errorf("got %v", err)
			}
		})
		t.Run("nor revoked again", func(t *testing.T) {
			if _, err := h.svc.Trust.Revoke(ctx, h.ana, "lost", "twice", false); towpath.KindOf(err) != towpath.KindConflict {
				t.Errorf("got %v", err)
			}
		})
	})
}

// TestServer_StatusSaysWhichSignaturesCountNoMore: a revoked key that was not the
// only one quarantines nothing, and what runs would still pass no gate.
func TestServer_StatusSaysWhichSignaturesCountNoMore(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		c := h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser)
		lost, lostPEM := signingKey(t)
		kept, keptPEM := signingKey(t)
		must(t, 0, h.trusts("lost", lostPEM))
		must(t, 0, h.trusts("kept", keptPEM))
		h.gates = towpath.GateRules{Signed: &towpath.SignedRule{Count: 1, Keys: []towpath.KeyName{"lost"}}}
		one := h.publish("1.0.0", "one")
		h.signs(c, lost, one.Release)
		h.signs(c, kept, one.Release)
		h.runs("dev", "1.0.0")
		if st := h.status("dev"); len(st.Unbelieved) > 0 {
			t.Errorf("while the key is trusted it shows %q", st.Unbelieved)
		}
		_, err := h.svc.Trust.Revoke(t.Context(), h.ana, "lost", "it was on a laptop", false)
		must(t, 0, err)
		st := h.status("dev")
		if len(st.Unbelieved) != 1 || st.Unbelieved[0] != `0 of 1 signature by lost. A signature does not count: it was signed with kept. `+
			`A signature does not count: the key "lost" was revoked: it was on a laptop.` {
			t.Errorf("it shows %q", st.Unbelieved)
		}
		if st.Quarantined {
			t.Error("what another key signed too is quarantined")
		}
	})
}

func TestServer_KeysAreRotatedWithOverlap(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := context.Background()
		c := h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser)
		old, oldPEM := signingKey(t)
		next, nextPEM := signingKey(t)
		must(t, 0, h.trusts("old", oldPEM))
		must(t, 0, h.trusts("next", nextPEM))
		h.gates = towpath.GateRules{Signed: &towpath.SignedRule{Count: 1}}
		one := h.publish("1.0.0", "one")
		h.signs(c, old, one.Release)
		h.runs("dev", "1.0.0")
		_, err := h.svc.Trust.Expire(ctx, h.ana, "old", time.Now())
		must(t, 0, err)
		holds := func(version string) bool {
			got, err := h.svc.Trust.Evidence(ctx, h.ana, shop, version, "dev")
			must(t, 0, err)
			return slices.ContainsFunc(got.Statements, func(a towpath.Attestation) bool { return a.Verified() })
		}
		if !holds("1.0.0") {
			t.Error("what the key signed before it expired does not hold any more")
		}
		two := h.publish("1.1.0", "two")
		h.signs(c, old, two.Release)
		h.reason("dev", "1.1.0", towpath.GateSigned, "was valid until")
		h.signs(c, next, two.Release)
		h.runs("dev", "1.1.0")
	})
}

func TestServer_TrustedKeys(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := context.Background()
		h.publish("1.0.0", "one")
		_, pem := signingKey(t)
		_, other := signingKey(t)
		must(t, 0, h.trusts("builder", "\n"+pem+"\n", func(r *trust.AddRequest) { r.Environment = "dev" }))
		in := func(p towpath.ProjectName, e towpath.EnvironmentName) func(*trust.AddRequest) {
			return func(r *trust.AddRequest) { r.Project, r.Environment = p, e }
		}
		for _, tt := range []struct {
			name   string
			key    towpath.KeyName
			pem    string
			change func(*trust.AddRequest)
			kind   towpath.Kind
		}{
			{"the same name", "builder", other, in(shop, ""), towpath.KindConflict},
			{"the same key where it counts already", "other", pem, in(shop, "dev"), towpath.KindConflict},
			{"the same key everywhere", "other", pem, in("", ""), towpath.KindConflict},
			{"the same key in another environment", "elsewhere", pem, in(shop, "prod"), ""},
			{"a bad name", "Builder", other, in(shop, ""), towpath.KindInvalid},
			{"no key", "other", "ssh-rsa AAAA", in(shop, ""), towpath.KindInvalid},
			{"an environment of no project", "other", other, in("", "dev"), towpath.KindInvalid},
			{"a project that is not there", "other", other, in("shpo", ""), towpath.KindNotFound},
			{"an environment that is not there", "other", other, in(shop, "pord"), towpath.KindNotFound},
			{"a type that is none", "other", other, func(r *trust.AddRequest) { r.Types = []towpath.EvidenceType{"signatures"} }, towpath.KindInvalid},
			{"a time without end", "other", other, func(r *trust.AddRequest) {
				r.NotBefore, r.NotAfter = time.Unix(10, 0), time.Unix(5, 0)
			}, towpath.KindInvalid},
			{"a predicate type", "other", other, func(r *trust.AddRequest) { r.Types = []towpath.EvidenceType{"https://example.com/x"} }, ""},
		} {
			t.Run(tt.name, func(t *testing.T) {
				err := h.trusts(tt.key, tt.pem, tt.change)
				if tt.kind == "" && err != nil || tt.kind != "" && towpath.KindOf(err) != tt.kind {
					t.Errorf("got %v, want %s", err, tt.kind)
				}
			})
		}
		t.Run("who may not change it", func(t *testing.T) {
			all := h.ana
			defer func() { h.ana = all }()
			h.ana = towpath.Actor{Account: "op", Token: "tok", Grants: []towpath.Grant{{Role: towpath.RoleOperator}, {Role: towpath.RoleAdmin, Project: shop, Environment: "prod"}}}
			_, third := signingKey(t)
			if err := h.trusts("third", third); towpath.KindOf(err) != towpath.KindForbidden {
				t.Errorf("added: %v", err)
			}
			if _, err := h.svc.Trust.Revoke(ctx, h.ana, "builder", "x", false); towpath.KindOf(err) != towpath.KindForbidden {
				t.Errorf("revoked: %v", err)
			}
			if err := h.trusts("third", third, in(shop, "prod")); err != nil {
				t.Errorf("not where it may: %v", err)
			}
		})
		t.Run("lists", func(t *testing.T) {
			names := func(e towpath.EnvironmentName) string {
				keys, err := h.svc.Trust.List(ctx, h.ana, shop, e)
				must(t, 0, err)
				var out []string
				for _, k := range keys {
					out = append(out, string(k.Name))
				}
				return strings.Join(out, " ")
			}
			if all, dev := names(""), names("dev"); all != "builder elsewhere other third towpath" || dev != "builder other towpath" {
				t.Errorf("all: %s; of dev: %s", all, dev)
			}
		})
		t.Run("a revocation says why", func(t *testing.T) {
			if _, err := h.svc.Trust.Revoke(ctx, h.ana, "builder", "", false); towpath.KindOf(err) != towpath.KindInvalid {
				t.Errorf("got %v", err)
			}
		})
		t.Run("no private key is kept", func(t *testing.T) {
			keys, err := h.svc.Trust.List(ctx, h.ana, "", "")
			must(t, 0, err)
			b, err := json.Marshal(keys)
			must(t, 0, err)
			if strings.Contains(string(b), "PRIVATE") {
				t.Error("it is")
			}
		})
	})
}
