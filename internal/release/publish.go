package release

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"

	"github.com/Masterminds/semver/v3"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// maxProvenance is the largest statement that is accepted, in bytes.
const maxProvenance = 4 << 20

// Publish takes a release in whose blobs have been uploaded: it checks every
// digest, gives the version label, records the candidate and asks each
// environment to look whether it wants it. Publishing the same again changes
// nothing.
func (s *Service) Publish(ctx context.Context, actor towpath.Actor, r PublishRequest) (Published, error) {
	if err := access.Check(actor, access.ReleasePublish, access.Subject{Project: r.Project}); err != nil {
		return Published{}, err
	}
	shared, err := s.latch.Share(ctx)
	if err != nil {
		return Published{}, err
	}
	defer shared.Release()
	content, artifact, contentDigest, err := s.check(ctx, actor, r)
	if err != nil {
		return Published{}, err
	}
	evidence, err := s.evidence(ctx, actor, r, artifact.Digest)
	if err != nil {
		return Published{}, err
	}
	materials, err := s.materials(ctx, r.Provenance, evidence)
	if err != nil {
		return Published{}, err
	}
	subject, err := s.checkCommit(ctx, r)
	if err != nil {
		return Published{}, err
	}
	if _, _, err := s.blobs.Put(ctx, towpath.DigestOf(r.Manifest), bytes.NewReader(r.Manifest), oci.MaxManifest); err != nil {
		return Published{}, err
	}
	provenance, _, err := s.blobs.Put(ctx, "", bytes.NewReader(r.Provenance), maxProvenance)
	if err != nil {
		return Published{}, err
	}
	failpoint.Hit("release.stored")
	now := s.cfg.Now()
	release := towpath.Release{Digest: artifact.Digest, Project: r.Project, Size: sizeOf(artifact), Published: now}
	candidate := towpath.Candidate{
		ID: towpath.CandidateOf(release.Digest, provenance, r.Commit), Project: r.Project, Release: release.Digest,
		Provenance: provenance, Commit: r.Commit, Ref: r.Ref, Version: r.Version, Subject: subject,
		PublishedBy: actor.Account, Published: now,
	}
	ev := towpath.NewEvent(now, string(actor.Account), "release.published")
	ev.Project, ev.Subject, ev.Release, ev.RequestID = r.Project, string(candidate.ID), release.Digest, actor.RequestID
	ev.Reason = r.Version
	attached := towpath.NewEvent(now, string(actor.Account), "evidence.attached")
	attached.Project, attached.Subject, attached.Release, attached.RequestID = r.Project, string(candidate.ID), release.Digest, actor.RequestID
	out := Published{Release: release, Candidate: candidate}
	err = s.store.Update(ctx, under(shared, func(ctx context.Context, tx Tx) error {
		if err := tx.InsertRelease(ctx, release, contentDigest); err != nil {
			return err
		}
		if err := tx.InsertVersion(ctx, towpath.VersionLabel{Project: r.Project, Version: r.Version, Release: release.Digest, Published: now}); err != nil {
			return err
		}
		if err := refuseMaterials(ctx, tx, r.Project, release.Digest, materials, now); err != nil {
			return err
		}
		if err := tx.WakeExaminations(ctx, r.Project, release.Digest, now); err != nil {
			return err
		}
		if err := shelve(ctx, tx, artifact, []string{r.Version}, now); err != nil {
			return err
		}
		if err := attach(ctx, tx, evidence, attached, now); err != nil {
			return err
		}
		if err := tx.WakeReplications(ctx, r.Project, now); err != nil {
			return err
		}
		if err := tx.WakeMirror(ctx, r.Project, now); err != nil {
			return err
		}
		same, err := built(ctx, tx, candidate)
		if err != nil {
			return err
		}
		if same != nil {
			out.Candidate, out.Created = *same, false
			return openNamed(ctx, tx, actor, content, ev)
		}
		out.Candidate = candidate
		if out.Created, err = tx.InsertCandidate(ctx, candidate); err != nil || !out.Created {
			return err
		}
		if err := tx.Record(ctx, ev); err != nil {
			return err
		}
		return offer(ctx, tx, actor, content, ev)
	}))
	failpoint.Hit("release.published")
	out.Release.Content = content
	return out, err
}

// built is the candidate that the same commit of the same ref was published as
// before, with the same content; nil when there is none. Building it once more
// says nothing new.
func built(ctx context.Context, tx Tx, c towpath.Candidate) (*towpath.Candidate, error) {
	have, err := tx.CandidatesOf(ctx, c.Project, c.Release)
	if err != nil {
		return nil, err
	}
	for _, h := range have {
		if h.Commit == c.Commit && h.Ref == c.Ref && h.Version == c.Version {
			return &h, nil
		}
	}
	return nil, nil
}

// check verifies a request against its own digests and the blobs that it may
// name. It returns the content, the artifact that it is and the content's digest.
func (s *Service) check(ctx context.Context, actor towpath.Actor, r PublishRequest) (*towpath.ReleaseContent, towpath.Artifact, towpath.Digest, error) {
	const op = "release.publish"
	none := towpath.Artifact{}
	if len(r.Manifest) > oci.MaxManifest {
		return nil, none, "", towpath.E(towpath.KindInvalid, op, "the manifest is over %d bytes", oci.MaxManifest)
	}
	m, err := oci.ParseManifest(r.Manifest)
	if err != nil {
		return nil, none, "", err
	}
	artifact := artifactOf(r.Project, r.Manifest, m)
	if err := s.reachable(ctx, actor, r.Project, namedBy(artifact)); err != nil {
		return nil, none, "", err
	}
	raw, err := blob.ReadAll(ctx, s.blobs, m.Config.Digest, oci.MaxContent)
	if err != nil {
		return nil, none, "", err
	}
	_, content, err := oci.Decode(r.Manifest, raw)
	if err != nil {
		return nil, none, "", err
	}
	if content.Project != r.Project {
		return nil, none, "", towpath.E(towpath.KindInvalid, op, "the release belongs to project %s, not %s", content.Project, r.Project).
			WithHint("check `project` in towpath.yaml and --project")
	}
	if err := checkRules(content, raw); err != nil {
		return nil, none, "", err
	}
	if !towpath.OneLine(r.Ref) {
		return nil, none, "", towpath.E(towpath.KindInvalid, op, "%q is no branch and no tag", shortened(r.Ref))
	}
	if err := checkProvenance(r.Provenance, towpath.DigestOf(r.Manifest)); err != nil {
		return nil, none, "", err
	}
	if err := checkVersion(content.Naming, r.Version); err != nil {
		return nil, none, "", err
	}
	for _, l := range m.Layers {
		info, err := s.blobs.Stat(ctx, l.Digest)
		if err != nil {
			return nil, none, "", err
		}
		if info.Size != l.Size {
			return nil, none, "", towpath.E(towpath.KindInvalid, op, "layer %s has %d bytes, its manifest says %d", towpath.Short(l.Digest), info.Size, l.Size)
		}
	}
	return content, artifact, m.Config.Digest, nil
}

// checkCommit makes sure that the commit is in the project's repository and
// returns the first line of its message.
func (s *Service) checkCommit(ctx context.Context, r PublishRequest) (string, error) {
	if !commitPattern.MatchString(string(r.Commit)) {
		return "", towpath.E(towpath.KindInvalid, "release.publish", "%q is not a full commit ID", r.Commit)
	}
	return s.commits.Subject(ctx, r.Project, r.Commit)
}

var commitPattern = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// checkProvenance makes sure that a statement is about this release. Who
// signed it is judged where it is relied on.
func checkProvenance(statement []byte, release towpath.Digest) error {
	const op = "release.publish"
	var s struct {
		Subject []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
	}
	if len(statement) > maxProvenance || json.Unmarshal(statement, &s) != nil {
		return towpath.E(towpath.KindInvalid, op, "the provenance is no in-toto statement")
	}
	for _, subject := range s.Subject {
		if subject.Digest["sha256"] == release.Hex() {
			return nil
		}
	}
	return towpath.E(towpath.KindInvalid, op, "the provenance is about something else, not about release %s", towpath.Short(release)).
		WithHint("publish the provenance that was made with this release")
}

// checkVersion checks a label: semver, and the project's naming rule.
func checkVersion(naming, version string) error {
	const op = "release.publish"
	if _, err := semver.StrictNewVersion(version); err != nil {
		return towpath.E(towpath.KindInvalid, op, "version %q is not semver", version).
			WithHint("MAJOR.MINOR.PATCH, then -prerelease and +build if you like: 1.4.0-rc.1+g1a2b3c4").WithCause(err)
	}
	if naming == "" {
		return nil
	}
	re, err := regexp.Compile(naming)
	if err != nil {
		return towpath.E(towpath.KindInvalid, op, "the project's naming rule is not a regular expression").WithCause(err)
	}
	if !re.MatchString(version) {
		return towpath.E(towpath.KindInvalid, op, "version %q does not follow the project's naming rule %q", version, naming).
			WithHint("choose one that does with --version")
	}
	return nil
}
