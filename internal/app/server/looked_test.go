package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
	"github.com/towpath/towpath/internal/trust"
)

// counting is a store that counts what is read of it: of all, or of some.
type counting struct {
	blob.Store
	mu     sync.Mutex
	of     map[towpath.Digest]bool // nil: all
	opened map[towpath.Digest]int
	bytes  int64
}

func (c *counting) Open(ctx context.Context, d towpath.Digest) (io.ReadCloser, int64, error) {
	r, size, err := c.Store.Open(ctx, d)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil || c.of[d] {
		c.opened[d]++
		c.bytes += size
	}
	return r, size, err
}

// read is how many blobs and bytes were read since it was last asked.
func (c *counting) read() (blobs int, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.opened {
		blobs += n
	}
	size, c.bytes = c.bytes, 0
	clear(c.opened)
	return blobs, size
}

// looking is a service of the harness's keys that has looked at nothing yet.
func (h *harness) looking(maxLook int64) (*trust.Service, *counting) {
	h.t.Helper()
	k, pem := signingKey(h.t)
	own := towpath.TrustedKey{Name: "server", ID: string(k.ID()), PublicKey: pem, Types: []towpath.EvidenceType{towpath.EvidenceSignature}}
	c := &counting{Store: h.s.agents.blobs, opened: map[towpath.Digest]int{}}
	return trust.New(trust.Config{Now: time.Now, Own: own, MaxLook: maxLook}, store.For[trust.Tx](h.s.store), c, nil), c
}

// TestServer_BundleIsReadOnce: however many manifests name a bundle, and however
// often anybody looks, it is read once; when each manifest came counts all the same.
func TestServer_BundleIsReadOnce(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	c := h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser)
	builder, pem := signingKey(t)
	must(t, 0, h.trusts("builder", pem))
	one := h.publish("1.0.0", "one")
	statement := must3(evidence.MakeSignature(one.Release))(t)
	bundle := must3(signing.Sign(ctx, builder, statement))(t)
	ours := map[towpath.Digest]bool{towpath.DigestOf(bundle): true} // the server says something of what runs, too
	ours[h.attaches(c, one.Release, evidence.TypeSignature, bundle, time.Unix(0, 0))] = true
	again := func(n int) {
		for range n {
			a := h.bundled(one.Release, evidence.TypeSignature, bundle, time.Unix(int64(len(ours)), 0))
			c.Expect(c.Do("PUT", c.Repo("manifests/"+string(a.Digest)), a.Manifest, "Content-Type", towpath.MediaTypeManifest), 201)
			ours[a.Digest] = true
		}
	}
	const before, after = 150, 3 // more than are listed at a time
	again(before - 1)
	_, err := h.svc.Trust.Expire(ctx, h.ana, "builder", time.Now())
	must(t, 0, err)
	again(after)

	s, reads := h.looking(0)
	reads.of = ours
	look := func(e towpath.EnvironmentName) (blobs int) {
		t.Helper()
		said, err := s.Statements(ctx, shop, e, one.Release)
		must(t, 0, err)
		verified, expired := map[towpath.Digest]bool{}, map[towpath.Digest]bool{}
		for _, a := range said {
			if a.Verified() && a.Key == "builder" && a.Bundle == towpath.DigestOf(bundle) {
				verified[a.Artifact] = true
			}
			if a.Rule == string(signing.ReasonExpired) && strings.Contains(a.Refused, a.Recorded.UTC().Format(time.RFC3339)) {
				expired[a.Artifact] = true
			}
		}
		if len(verified) != before || len(expired) != after {
			t.Errorf("%d are verified, and %d came too late; want %d and %d", len(verified), len(expired), before, after)
		}
		if n := reads.opened[towpath.DigestOf(bundle)]; n > 1 {
			t.Errorf("the bundle was read %d times", n)
		}
		blobs, _ = reads.read()
		return blobs
	}
	if n := look("dev"); n != before+after+1 {
		t.Errorf("%d were read, of %d manifests and a bundle", n, before+after)
	}
	if n := look("dev") + look("prod") + look(""); n != 0 {
		t.Errorf("%d were read again", n)
	}
	t.Run("until keys change", func(t *testing.T) {
		_, other := signingKey(t)
		must(t, 0, h.trusts("other", other))
		if n := look("dev"); n != before+after+1 {
			t.Errorf("%d were read", n)
		}
	})
	t.Run("also to find out what keys were revoked for", func(t *testing.T) {
		for i := range 3 {
			name := towpath.KeyName(fmt.Sprintf("lost-%d", i))
			_, other := signingKey(t)
			must(t, 0, h.trusts(name, other))
			_, err := h.svc.Trust.Revoke(ctx, h.ana, name, "it was lost", false)
			must(t, 0, err)
		}
		q, err := s.Blame(ctx, shop, one.Release, nil)
		must(t, 0, err)
		if q != nil {
			t.Errorf("it is quarantined: %s", q.Reason)
		}
		if n, _ := reads.read(); n > before+after+1 {
			t.Errorf("%d were read for three keys", n)
		}
	})
}

// TestServer_WhatNeedNotBeThereStopsNothing: the registry takes manifests of layers
// that it need not have. One that attaches such a layer as a bundle proves nothing; the
// gates go on, and what is found later is told.
func TestServer_WhatNeedNotBeThereStopsNothing(t *testing.T) {
	h := newHarness(t)
	c := h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser)
	builder, pem := signingKey(t)
	must(t, 0, h.trusts("builder", pem))
	h.gates = towpath.GateRules{Signed: &towpath.SignedRule{Count: 1, Keys: []towpath.KeyName{"builder"}}}
	one := h.publish("1.0.0", "one")
	a := h.bundled(one.Release, evidence.TypeSignature, []byte("never sent"), time.Unix(0, 0))
	manifest := bytes.Replace(a.Manifest, []byte(`"mediaType":"`+oci.MediaTypeBundle+`"`), []byte(`"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar"`), 1)
	c.Expect(c.Do("POST", c.Repo("blobs/uploads/?digest="+ocitest.Sha256(a.Blobs[0])), a.Blobs[0], "Content-Type", "application/octet-stream"), 201)
	c.Expect(c.Do("PUT", c.Repo("manifests/"+ocitest.Sha256(manifest)), manifest, "Content-Type", towpath.MediaTypeManifest), 201)
	h.promotion("dev", "1.0.0", towpath.PromotionWaiting)
	h.reason("dev", "1.0.0", towpath.GateSigned, "0 of 1 signature by builder.")
	h.signs(c, builder, one.Release)
	h.runs("dev", "1.0.0")
	report := h.newScanner().report(one.Release, time.Time{}, towpath.ScanFinding{ID: "CVE-2", Severity: towpath.SeverityCritical})
	h.attaches(c, one.Release, evidence.TypeScan, report, time.Unix(1, 0))
	if all := h.flags(); len(all) == 0 || !strings.HasSuffix(all[0].Reason, "1 critical (CVE-2)") {
		t.Errorf("recorded %+v", all)
	}
}

// TestServer_FloodOfBytesHoldsNothing: one look reads no more than it may, says so
// instead of judging by a part, and the next one goes on.
func TestServer_FloodOfBytesHoldsNothing(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	c := h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser)
	builder, pem := signingKey(t)
	must(t, 0, h.trusts("builder", pem))
	lost, lostPEM := signingKey(t)
	must(t, 0, h.trusts("lost", lostPEM))
	one := h.publish("1.0.0", "one")
	const junk, size, most = 12, 256 << 10, 1 << 20
	flood := map[towpath.Digest]bool{}
	for i := range junk {
		bundle := bytes.Repeat([]byte{byte('a' + i)}, size)
		flood[towpath.DigestOf(bundle)] = true
		h.attaches(c, one.Release, evidence.TypeSignature, bundle, time.Unix(0, 0))
	}
	h.signs(c, builder, one.Release)

	s, reads := h.looking(most)
	reads.of = flood
	looks := 1
	for ; ; looks++ {
		said, err := s.Statements(ctx, shop, "dev", one.Release)
		if _, n := reads.read(); n > most+size {
			t.Fatalf("one look read %d bytes, of %d", n, most)
		}
		if err == nil {
			verified := 0
			for _, a := range said {
				if a.Verified() {
					verified++
				}
			}
			if verified != 1 || len(said) < junk+1 {
				t.Errorf("%d of %d statements are verified", verified, len(said))
			}
			break
		}
		if said != nil || towpath.KindOf(err) != towpath.KindExhausted || !strings.Contains(err.Error(), "more bytes of statements are attached to the release than are looked at at once (1 MiB)") {
			t.Fatalf("look %d answers %d statements, %v", looks, len(said), err)
		}
		if looks > junk {
			t.Fatal("no look goes on where the last one ended")
		}
	}
	if looks < 3 {
		t.Errorf("it took %d looks", looks)
	}
	if _, err := s.Statements(ctx, shop, "dev", one.Release); err != nil {
		t.Error("what was looked at is looked at again: ", err)
	}
	if n, _ := reads.read(); n != 0 {
		t.Errorf("%d are read again", n)
	}

	t.Run("what it hides is not thought to be absent", func(t *testing.T) {
		h.signs(c, lost, one.Release) // behind the flood
		_, err := h.svc.Trust.Revoke(ctx, h.ana, "lost", "it was on a laptop", false)
		must(t, 0, err)
		fresh, _ := h.looking(most)
		q, err := fresh.Blame(ctx, shop, one.Release, nil)
		must(t, 0, err)
		if q == nil || !strings.Contains(q.Reason, "nobody can tell whether only the key lost signed it (it could not be looked at: more bytes of statements") {
			t.Errorf("it is quarantined for %+v", q)
		}
	})
}
