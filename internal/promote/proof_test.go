package promote

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

func TestSignatures(t *testing.T) {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	signature := func(bundle, key string, at time.Duration, broken signing.Reason) towpath.Attestation {
		a := towpath.Attestation{Type: towpath.EvidenceSignature, Bundle: towpath.Digest(bundle), KeyID: key, Recorded: noon.Add(at), Key: "known"}
		if broken != "" {
			a.Key, a.Refused, a.Rule = "", "it does not count", string(broken)
		}
		return a
	}
	many := func(n int, f func(i int) towpath.Attestation) (out []towpath.Attestation) {
		for i := range n {
			out = append(out, f(i))
		}
		return out
	}
	real := signature("real", "k", time.Hour, "")
	for _, tt := range []struct {
		name string
		all  []towpath.Attestation
		want []towpath.Digest // the first
		of   int
	}{
		{"of none", nil, nil, 0},
		{"what verifies is before what does not", append(many(99, func(i int) towpath.Attestation {
			return signature(fmt.Sprint("a", i), fmt.Sprint("x", i), 0, signing.ReasonUnknownKey)
		}), real), []towpath.Digest{"real"}, maxProof},
		{"one key fills the list with nothing", append(many(99, func(i int) towpath.Attestation {
			return signature(fmt.Sprint("a", i), "x", 0, "")
		}), real), []towpath.Digest{"a0", "real"}, 2},
		{"nor does one bundle", append(many(99, func(i int) towpath.Attestation {
			return signature("a", "x", 0, signing.ReasonUnknownKey)
		}), signature("real", "k", time.Hour, signing.ReasonUnknownKey)), []towpath.Digest{"a", "real"}, 2},
		{"of keys that only an agent knows, the oldest is before what came later", append(many(99, func(i int) towpath.Attestation {
			return signature(fmt.Sprint("a", i), fmt.Sprint("x", i), 2*time.Hour, signing.ReasonUnknownKey)
		}), signature("real", "k", time.Hour, signing.ReasonUnknownKey)), []towpath.Digest{"real"}, maxProof},
		{"a key that this server does not take may be an agent's, a signature that is wrong is nobody's", append(many(99, func(i int) towpath.Attestation {
			return signature(fmt.Sprint("a", i), "k", 0, signing.ReasonSignature)
		}), signature("real", "k", time.Hour, signing.ReasonRevoked)), []towpath.Digest{"real"}, maxProof},
		{"only signatures count", []towpath.Attestation{{Type: towpath.EvidenceScan, Bundle: "a"}, {Type: towpath.EvidenceSignature}, real}, []towpath.Digest{"real"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := signatures(tt.all)
			if len(got) != tt.of || !slices.Equal(got[:len(tt.want)], tt.want) {
				t.Errorf("got %d, %q", len(got), got)
			}
		})
	}
}
