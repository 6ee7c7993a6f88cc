package build

import (
	"encoding/json"
	"net/url"

	provenance "github.com/in-toto/attestation/go/predicates/provenance/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/pin"
	"github.com/towpath/towpath/internal/towpath"
)

// What the provenance says it is: https://slsa.dev/spec/v1.0/provenance.
const (
	PredicateType = evidence.TypeProvenance
	BuildType     = "https://towpath.dev/build/v1"
)

// provenance is the in-toto statement of this build: what was built, from
// what, by whom and when. Equal builds at equal times give equal bytes.
func (r *run) provenance() ([]byte, error) {
	const op = "build.provenance"
	wrong := func(err error) error {
		return towpath.E(towpath.KindInternal, op, "the provenance of the release can't be written").WithCause(err)
	}
	finished := r.cfg.Now()
	params := map[string]any{
		"ref": r.ref, "commit": string(r.commit.ID), "tree": r.commit.Tree, "version": r.result.Version,
	}
	repository := withoutPassword(r.req.Repository)
	if repository != "" {
		params["repository"] = repository
	}
	if used := r.exceptionsUsed(); len(used) > 0 {
		params["pinExceptions"] = used
	}
	external, err := structpb.NewStruct(params)
	if err != nil {
		return nil, wrong(err)
	}
	materials, err := r.materials(repository)
	if err != nil {
		return nil, wrong(err)
	}
	scan, err := r.scanned()
	if err != nil {
		return nil, wrong(err)
	}
	invocation := r.req.BuildID
	if invocation == "" {
		invocation = towpath.HashID[string]("inv", r.cfg.BuilderID, string(r.commit.ID), string(r.result.Digest), r.result.Version,
			r.started.UTC().Format("20060102T150405.000000000"))
	}
	pred := &provenance.Provenance{
		BuildDefinition: &provenance.BuildDefinition{
			BuildType: BuildType, ExternalParameters: external, ResolvedDependencies: materials,
		},
		RunDetails: &provenance.RunDetails{
			Builder: &provenance.Builder{Id: r.cfg.BuilderID},
			Metadata: &provenance.BuildMetadata{
				InvocationId: invocation, StartedOn: timestamppb.New(r.started), FinishedOn: timestamppb.New(finished),
			},
			Byproducts: []*intoto.ResourceDescriptor{scan},
		},
	}
	if err := pred.Validate(); err != nil {
		return nil, wrong(err)
	}
	predicate := &structpb.Struct{}
	if b, err := protojson.Marshal(pred); err != nil {
		return nil, wrong(err)
	} else if err := protojson.Unmarshal(b, predicate); err != nil {
		return nil, wrong(err)
	}
	statement := &intoto.Statement{
		Type:          intoto.StatementTypeUri,
		Subject:       []*intoto.ResourceDescriptor{{Name: string(r.project.Project), Digest: map[string]string{"sha256": r.result.Digest.Hex()}}},
		PredicateType: PredicateType,
		Predicate:     predicate,
	}
	if err := statement.Validate(); err != nil {
		return nil, wrong(err)
	}
	b, err := protojson.Marshal(statement)
	if err != nil {
		return nil, wrong(err)
	}
	// protojson varies its white space on purpose.
	return oci.Canonical(json.RawMessage(b))
}

// ScanByproduct names what the provenance says of the scan for credentials:
// which rules it went by, and what was allowed where and why.
const ScanByproduct = "credential-scan"

// scanned is the scan's record as a byproduct of the build, by its digest.
func (r *run) scanned() (*intoto.ResourceDescriptor, error) {
	record := r.scanRecord()
	raw, err := oci.Canonical(record)
	if err != nil {
		return nil, err
	}
	notes, err := structpb.NewStruct(record)
	if err != nil {
		return nil, err
	}
	return &intoto.ResourceDescriptor{Name: ScanByproduct, Digest: map[string]string{"sha256": towpath.DigestOf(raw).Hex()}, Annotations: notes}, nil
}

// materials are the commit, what the lock file pins, and what an exception lets
// move; that is marked.
func (r *run) materials(repository string) ([]*intoto.ResourceDescriptor, error) {
	source := &intoto.ResourceDescriptor{Name: "source", Digest: commitDigest(string(r.commit.ID))}
	if repository != "" {
		source.Uri = "git+" + repository + "@" + r.ref
	}
	all := []*intoto.ResourceDescriptor{source}
	if r.lock != nil {
		all = append(all, &intoto.ResourceDescriptor{Name: LockFile, Digest: map[string]string{"sha256": r.lock.digest.Hex()}})
	}
	for _, e := range r.pinned.Pins {
		all = append(all, pinMaterial(e))
	}
	seen := map[string]bool{}
	for _, x := range r.pinned.Excepted {
		if seen[x.Pin.Name] {
			continue
		}
		seen[x.Pin.Name] = true
		m := pinMaterial(x.Pin)
		var err error
		if m.Annotations, err = structpb.NewStruct(map[string]any{
			"unpinned": true, "why": x.Why, "reason": r.project.Exceptions[x.Exception].Reason, "until": r.project.Exceptions[x.Exception].Until,
			"kind": string(x.Pin.Kind),
		}); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// pinMaterial is a pin as a material, by its digest or commit where it has one.
func pinMaterial(e towpath.Pin) *intoto.ResourceDescriptor {
	m := &intoto.ResourceDescriptor{Name: e.Name, Uri: pin.PURL(e)}
	switch {
	case e.Digest != "":
		m.Digest = map[string]string{"sha256": e.Digest.Hex()}
	case e.Commit != "":
		m.Digest = commitDigest(e.Commit)
	}
	return m
}

func commitDigest(commit string) map[string]string {
	if len(commit) == 64 {
		return map[string]string{"sha256": commit} // the library wants SHA-1 under the other name
	}
	return map[string]string{"gitCommit": commit}
}

// withoutPassword drops credentials from a repository's URL.
func withoutPassword(repository string) string {
	u, err := url.Parse(repository)
	if err != nil || u.Scheme == "" {
		return repository // a path, or git@host:path, which holds no password
	}
	if _, has := u.User.Password(); has || u.Scheme == "https" || u.Scheme == "http" {
		u.User = nil // also a token in the place of the user
	}
	return u.String()
}
