package trust

import (
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

func TestRepeated(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 11, 21, hour, 0, 0, 0, time.UTC) }
	said := func(payload towpath.Digest, key string, hour int, refused string) towpath.Attestation {
		return towpath.Attestation{Payload: payload, KeyID: key, Key: towpath.KeyName(key), Recorded: at(hour), Refused: refused}
	}
	for _, tt := range []struct {
		name string
		all  []towpath.Attestation
		want []int // hours
	}{
		{"the same words by the same key are as old as the first", []towpath.Attestation{said("a", "k", 3, ""), said("a", "k", 1, ""), said("a", "k", 2, "")}, []int{1, 1, 1}},
		{"other words are as old as they are", []towpath.Attestation{said("a", "k", 1, ""), said("b", "k", 2, "")}, []int{1, 2}},
		{"nobody makes another's words older", []towpath.Attestation{said("a", "other", 1, ""), said("a", "k", 2, "")}, []int{1, 2}},
		{"nor what does not verify", []towpath.Attestation{said("a", "k", 1, "it is forged"), said("a", "k", 2, "")}, []int{1, 2}},
		{"what does not verify is as old as its manifest", []towpath.Attestation{said("a", "k", 1, ""), said("a", "k", 2, "it is forged")}, []int{1, 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			repeated(tt.all)
			for i, hour := range tt.want {
				if got := tt.all[i].First; !got.Equal(at(hour)) {
					t.Errorf("%d is of %s, want %s", i, got, at(hour))
				}
			}
		})
	}
}
