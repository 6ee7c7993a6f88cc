package server

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	regpkg "github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/replication"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// TestReplication_OfAFlood: what somebody attaches that can't be copied keeps no
// release from its place, and nothing that a gate waits for is left out for it.
func TestReplication_OfAFlood(t *testing.T) {
	h, blobs := still(t)
	e := newElsewhere(t)
	must(t, 0, h.copyTo(e, "eu", ""))
	key, pem := signingKey(t)
	must(t, 0, h.trusts("builder", pem))
	one := h.publish("1.0.0", "one")
	said, ok := h.svc.Trust.(replication.Statements)
	if !ok {
		t.Fatal("the keys of the API are not those of the server")
	}
	artifacts, ok := h.svc.Registry.(*regpkg.Service)
	if !ok {
		t.Fatal("the registry of the API is not that of the server")
	}
	copies := replication.New(replication.Config{
		Now: time.Now, Said: said, Limits: replicate.Limits{Manifests: 4}, // it, what it was published with, and two more
		Connect: func(r towpath.ReplicationRule) (replication.Target, error) { return dial(r.To) },
	}, store.For[replication.Tx](h.s.store), blobs)
	push := func(a oci.Attachment) {
		t.Helper()
		repository := towpath.ReleaseRepository(shop)
		for _, b := range a.Blobs {
			must(t, 0, artifacts.PutBlob(t.Context(), h.ana, repository, towpath.DigestOf(b), bytes.NewReader(b)))
		}
		_, err := artifacts.Push(t.Context(), h.ana, regpkg.PushRequest{Repository: repository, Reference: string(a.Digest), Manifest: a.Manifest})
		must(t, 0, err)
	}
	look := func() replication.Status {
		t.Helper()
		_, err := copies.Reconcile(t.Context(), "shop/eu", time.Now())
		must(t, 0, err)
		return h.copies("eu")
	}
	push(h.billOf(one, bill("pkg:npm/first@1")))
	if st := look(); st.Whole != 1 || len(st.Left) != 0 {
		t.Fatalf("the rule says %+v", st)
	}
	for _, name := range []string{"pkg:npm/a@1", "pkg:npm/b@1", "pkg:npm/c@1"} {
		push(h.billOf(one, bill(name)))
	}
	large := h.bundled(one.Release, evidence.TypeSignature, []byte("{}"), time.Unix(0, 0)) // more than is read of a statement
	large.Manifest = append(large.Manifest, bytes.Repeat([]byte(" "), oci.MaxManifest)...)
	large.Digest = towpath.DigestOf(large.Manifest)
	push(large)
	signed := h.signedAbout(key, one.Release, evidence.TypeSignature, struct{}{})
	push(signed)
	st := look()
	if st.Whole != 1 || len(st.Behind) != 0 || len(st.Left) != 1 || !strings.HasPrefix(st.Left[0], "1.0.0: 4 manifests about it are not copied") {
		t.Errorf("the rule says %+v", st)
	}
	if got := e.about(t, one.Release); !slices.Contains(got, oci.MediaTypeBundle) || len(got) != 3 {
		t.Errorf("there are %v", got)
	}
	push(h.billOf(one, bill("pkg:npm/d@1")))
	if st := look(); len(st.Left) != 1 || !strings.Contains(st.Left[0], "5 manifests") {
		t.Errorf("what is left out later is not said: %+v", st)
	}
}
