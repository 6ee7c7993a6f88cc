package cli

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

// maxEvidence is how many manifests one publication may attach; what is more is
// pushed into the registry.
const maxEvidence = 64

// importedRelease is the result of release import.
type importedRelease struct {
	Project   towpath.ProjectName `json:"project"`
	Release   towpath.Digest      `json:"release"`
	Versions  []string            `json:"versions"`
	Created   bool                `json:"created"`            // false: it was published before
	Manifests replicate.Count     `json:"manifests"`          // of the release and what is about it
	Uploaded  int64               `json:"uploaded"`           // bytes
	Images    []string            `json:"images,omitempty"`   // that came with it, where they are on the server
	SignedBy  string              `json:"signedBy,omitempty"` // file of the key
	Unused    []string            `json:"unused,omitempty"`   // files of the layout that nothing in it names
}

func newReleaseImport(s *session) *cobra.Command {
	var keys []string
	cmd := &cobra.Command{
		Use: "import DIR|FILE.tar", Short: "Publish a release with all its evidence from an OCI image layout",
		Long: "Reads a layout that release export wrote: a folder, or an uncompressed tar archive. Everything in it is verified before anything is " +
			"sent. Then the release is published under its versions, with everything that is attached to it, and the server's registry is read again " +
			"and compared. The project has to be registered, and its repository, if it has one, needs the commits. Images that the layout has of the release are mirrored with it. Importing again changes nothing.",
		Example: "  towpath release import shop-1.4.0.tar --key cosign.pub",
		Args:    positional(1, 1),
		RunE:    func(cmd *cobra.Command, args []string) error { return s.runReleaseImport(cmd.Context(), args[0], keys) },
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "file of a public key: refuse a release that none of them signed (repeat it for several)")
	return cmd
}

func (s *session) runReleaseImport(ctx context.Context, path string, keys []string) (err error) {
	own, err := s.ownKeys(keys)
	if err != nil {
		return err
	}
	layout, err := replicate.OpenLayout(ctx, s.path(path), replicate.Limits{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, layout.Close()) }()
	in, err := readShipment(ctx, layout)
	if err != nil {
		return err
	}
	out := importedRelease{Project: in.project, Release: towpath.Digest(in.graph.Root.Digest), Versions: in.versions(), Unused: in.unused}
	if own != nil {
		if out.SignedBy, err = in.signedBy(ctx, own, s); err != nil {
			return err
		}
	}
	if err := s.publishShipment(ctx, in, &out); err != nil {
		return err
	}
	for _, name := range out.Unused {
		s.say("%s nothing in the layout names %s; it was left", s.style.warn("warning:"), name)
	}
	return s.print(result{data: out, names: []string{string(out.Release)}, show: func(p *page) { showImported(p, out) }})
}

// shipment is a release in a layout, verified.
type shipment struct {
	layout   *replicate.Layout
	unused   []string
	graph    *replicate.Graph
	project  towpath.ProjectName
	manifest []byte
	records  []oci.CandidateRecord
	evidence []replicate.Node // what can be published with the release, in one
}

// readShipment verifies a layout and reads what is to be published of it.
func readShipment(ctx context.Context, layout *replicate.Layout) (*shipment, error) {
	in := &shipment{layout: layout}
	var err error
	if in.unused, err = layout.Check(ctx); err != nil {
		return nil, err
	}
	root, err := onlyRelease(layout)
	if err != nil {
		return nil, err
	}
	if in.graph, err = replicate.Walk(ctx, layout, root, replicate.Config{Attempts: 1}); err != nil {
		return nil, err
	}
	if in.manifest, err = layout.Manifest(ctx, root); err != nil {
		return nil, err
	}
	m, err := oci.ParseManifest(in.manifest)
	if err != nil {
		return nil, err
	}
	config := v1.Descriptor{Digest: digest.Digest(m.Config.Digest), Size: m.Config.Size}
	raw, err := replicate.ReadBlob(ctx, layout, config, oci.MaxContent)
	if err != nil {
		return nil, err
	}
	_, content, err := oci.Decode(in.manifest, raw)
	if err != nil {
		return nil, err
	}
	in.project = content.Project
	return in, in.sort(ctx)
}

func onlyRelease(layout *replicate.Layout) (v1.Descriptor, error) {
	all := slices.DeleteFunc(layout.Named(), func(n replicate.Node) bool { return n.ArtifactType != towpath.ArtifactTypeRelease })
	switch len(all) {
	case 1:
		return all[0].Descriptor, nil
	case 0:
		return v1.Descriptor{}, towpath.E(towpath.KindInvalid, "release.import", "there is no release in the layout").
			WithHint("`towpath release export` writes one")
	}
	return v1.Descriptor{}, towpath.E(towpath.KindInvalid, "release.import", "there are %d releases in the layout", len(all)).
		WithHint("import them one by one: export each into a layout of its own")
}

// sort tells the records of candidates from evidence that is published with the
// release, and that from what is pushed into the registry.
func (in *shipment) sort(ctx context.Context) error {
	for _, n := range in.graph.About(in.graph.Root.Digest) {
		body, err := in.layout.Manifest(ctx, n.Descriptor)
		if err != nil {
			return err
		}
		if n.ArtifactType == oci.ArtifactTypeCandidate {
			record, err := in.record(ctx, body)
			if err != nil {
				return err
			}
			in.records = append(in.records, record)
			continue
		}
		if _, err := oci.ParseAttachment(body); err == nil && towpath.Digest(n.Digest).Valid() && len(in.evidence) < maxEvidence {
			in.evidence = append(in.evidence, n)
		}
	}
	if len(in.records) == 0 {
		return towpath.E(towpath.KindInvalid, "release.import", "the layout does not say what the release was published with").
			On(string(in.graph.Root.Digest)).WithHint("`towpath release export` and `towpath release copy` say it")
	}
	return nil
}

func (in *shipment) record(ctx context.Context, manifest []byte) (oci.CandidateRecord, error) {
	record, m, err := oci.ParseCandidate(manifest)
	if err != nil {
		return record, err
	}
	b := m.Blobs[len(m.Blobs)-1]
	d := v1.Descriptor{Digest: digest.Digest(b.Digest), Size: b.Size}
	record.Provenance, err = replicate.ReadBlob(ctx, in.layout, d, oci.MaxManifest)
	return record, err
}

func (in *shipment) versions() []string {
	var all []string
	for _, r := range in.records {
		if !slices.Contains(all, r.Version) {
			all = append(all, r.Version)
		}
	}
	slices.Sort(all)
	return all
}

// signedBy is the first of the user's keys that signed the release.
func (in *shipment) signedBy(ctx context.Context, own *signing.Verifier, s *session) (string, error) {
	release := towpath.Digest(in.graph.Root.Digest)
	var refused refusals
	for _, n := range in.graph.About(in.graph.Root.Digest) {
		if n.ArtifactType != oci.MediaTypeBundle || len(n.Blobs) == 0 {
			continue
		}
		d := n.Blobs[len(n.Blobs)-1]
		b, err := replicate.ReadBlob(ctx, in.layout, d, signing.MaxBundle)
		if towpath.KindOf(err) == towpath.KindExhausted { // whoever may push can attach it: that hides no signature
			refused = append(refused, refusal{towpath.Digest(d.Digest), err})
			continue
		}
		if err != nil {
			return "", err
		}
		got, err := own.Verify(b, signing.Requirement{Type: evidence.TypeSignature, Subject: release, At: s.apps.Now()})
		if err == nil {
			return got.KeyName, nil
		}
		refused = append(refused, refusal{towpath.Digest(d.Digest), err})
	}
	return "", towpath.E(towpath.KindDenied, "release.import", "none of the given keys signed the release: %s", strings.Join(refused.words(), "; ")).On(string(release)).
		WithHint("nothing was sent; check where the layout comes from")
}

// publishShipment sends a shipment to the server: bytes, then the release with
// what is about it, then what can only be pushed into the registry.
func (s *session) publishShipment(ctx context.Context, in *shipment, out *importedRelease) error {
	if p := towpath.ProjectName(s.flags.project); p != "" && p != in.project {
		return towpath.E(towpath.KindInvalid, "", "the release is one of the project %s, not of %s", in.project, p).WithHint("leave --project away")
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	registry, err := s.ownRegistry(in.project)
	if err != nil {
		return err
	}
	if err := in.freeLabels(ctx, c); err != nil {
		return err
	}
	lasting := in.graph.Without(func(n replicate.Node) bool { return n.ArtifactType == oci.ArtifactTypeCandidate })
	lacks, err := replicate.Lacks(ctx, registry, lasting, s.patiently())
	if err != nil {
		return err
	}
	out.Manifests = replicate.Count{Copied: len(lacks), Present: len(lasting.Nodes) - len(lacks)}
	if out.Uploaded, err = s.upload(ctx, c, in.project, in.blobs(ctx)); err != nil {
		return err
	}
	if err := s.pushImages(ctx, in, out); err != nil {
		return err
	}
	for _, r := range in.records {
		published, err := c.PublishRelease(ctx, in.project, api.PublishRelease{
			Manifest: in.manifest, Provenance: r.Provenance, Commit: r.Commit, Ref: r.Ref, Version: r.Version, Evidence: digestsOf(in.evidence),
		})
		if err != nil {
			return err
		}
		out.Created = out.Created || published.Created
	}
	shown := s.newCopying("comparing", lasting)
	rest, err := replicate.Copy(ctx, in.layout, registry, lasting, shown.config())
	shown.end(err)
	out.Uploaded += rest.Bytes
	return err
}

// freeLabels makes sure, before anything is sent, that no version of the
// release is another one there. Publishing makes sure of it again.
func (in *shipment) freeLabels(ctx context.Context, c *client.Client) error {
	for _, version := range in.versions() {
		r, err := c.Release(ctx, in.project, version)
		if towpath.KindOf(err) == towpath.KindNotFound {
			continue
		}
		if err != nil {
			return err
		}
		labelled := slices.ContainsFunc(r.Versions, func(v towpath.VersionLabel) bool { return v.Version == version })
		if labelled && r.Digest != towpath.Digest(in.graph.Root.Digest) {
			return towpath.E(towpath.KindConflict, "release.import", "the version %s is another release there, and a version never moves", version).
				On(string(r.Digest)).WithHint("nothing was sent; release the commit under another version where it was built")
		}
	}
	return nil
}

// blobs is what the publication needs: the blobs of the release, and the
// evidence with its own.
func (in *shipment) blobs(ctx context.Context) []Blob {
	var all []Blob
	seen := map[digest.Digest]bool{}
	add := func(d v1.Descriptor) {
		if !seen[d.Digest] {
			seen[d.Digest] = true
			all = append(all, Blob{Digest: towpath.Digest(d.Digest), Size: d.Size, Open: func() (io.ReadCloser, error) { return in.layout.Blob(ctx, d) }})
		}
	}
	root, _ := in.graph.Node(in.graph.Root.Digest)
	for _, n := range append([]replicate.Node{root}, in.evidence...) {
		if n.Digest != root.Digest {
			add(n.Descriptor)
		}
		for _, b := range n.Blobs {
			add(b)
		}
	}
	return all
}

func digestsOf(nodes []replicate.Node) []towpath.Digest {
	var all []towpath.Digest
	for _, n := range nodes {
		all = append(all, towpath.Digest(n.Digest))
	}
	return all
}

func showImported(p *page, out importedRelease) {
	p.field("release", p.style.bold(string(out.Release)))
	p.field("project", string(out.Project))
	for _, v := range out.Versions {
		p.field("version", v)
	}
	p.field("signed by", out.SignedBy)
	p.field("manifests", plural(out.Manifests.Copied, "new", "new")+", "+plural(out.Manifests.Present, "present", "present"))
	for _, i := range out.Images {
		p.field("image", i)
	}
	p.field("uploaded", size(out.Uploaded))
	if !out.Created {
		p.line("it was published before")
	}
	p.line("%s", p.style.good("everything is there, and every digest is right"))
}
