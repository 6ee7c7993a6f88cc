package cli

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

// What CI says of itself for the provenance, where it is not said by flags.
const (
	builderIDEnv  = "TOWPATH_BUILDER_ID"
	buildIDEnv    = "TOWPATH_BUILD_ID"
	repositoryEnv = "TOWPATH_REPOSITORY"
)

// uploads is how many blobs are uploaded at once.
const uploads = 4

// builtRelease is the result of release build.
type builtRelease struct {
	Project   towpath.ProjectName `json:"project"`
	Digest    towpath.Digest      `json:"digest"`
	Version   string              `json:"version"`
	Commit    towpath.CommitID    `json:"commit"`
	Ref       string              `json:"ref,omitempty"`
	Candidate towpath.CandidateID `json:"candidate"`
	Created   bool                `json:"created"` // false: it was published before
	Uploaded  int64               `json:"uploaded"`
	SignedBy  string              `json:"signedBy,omitempty"` // ID of the key
	Evidence  []Evidence          `json:"evidence,omitempty"`
	Warnings  []string            `json:"warnings,omitempty"`
}

func newReleaseBuild(s *session) *cobra.Command {
	var r BuildRequest
	cmd := &cobra.Command{
		Use: "build", Short: "Make a commit into a release and publish it",
		Long: "Exports the commit, runs the components' builds, renders every environment, packs, uploads what the server " +
			"does not have, and publishes. The same tree gives the same digest on any machine. A release that would carry a " +
			"credential is refused; see secrets in " + projectFile + ".\n\n" +
			"With a key the release, its provenance and its bill of materials are signed, as cosign does. The key's password is " +
			"asked for, or taken from " + signing.PasswordEnv + ".\n\n" +
			"The provenance says who built, in which build and from which repository: --builder-id, --build-id and --repository, which rules of " +
			"environments may ask for (provenance: builders, repositories).",
		Example: "  towpath release build\n  towpath release build --ref v1.4.0 --version 1.4.0\n  towpath release build --key cosign.key",
		Args:    positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r.Dir, r.Password = s.flags.dir, s.password
			r.Key = cmp.Or(r.Key, s.env(keyEnv))
			r.BuilderID = cmp.Or(r.BuilderID, s.env(builderIDEnv))
			r.BuildID = cmp.Or(r.BuildID, s.env(buildIDEnv))
			r.Repository = cmp.Or(r.Repository, s.env(repositoryEnv))
			if r.Key != "" {
				r.Key = s.keyName(r.Key)
			}
			return s.runReleaseBuild(cmd.Context(), r)
		},
	}
	cmd.Flags().StringVar(&r.Ref, "ref", "", "branch, tag or commit (default HEAD)")
	cmd.Flags().StringVar(&r.Version, "version", "", "semver label; it never moves once published (default: from tag or commit)")
	cmd.Flags().BoolVar(&r.Check, "check", false, "build twice and compare")
	cmd.Flags().StringVar(&r.Key, "key", "", "key to sign with ("+keyEnv+"): a file, see towpath key generate, or exec:PROGRAM")
	cmd.Flags().StringVar(&r.BuilderID, "builder-id", "", "who builds, as a URI, for the provenance ("+builderIDEnv+")")
	cmd.Flags().StringVar(&r.BuildID, "build-id", "", "this build's ID or URL, for the provenance ("+buildIDEnv+"; default: a new one)")
	cmd.Flags().StringVar(&r.Repository, "repository", "", "URL of the repository, for the provenance ("+repositoryEnv+"; default: git's origin, or the folder)")
	return cmd
}

func (s *session) runReleaseBuild(ctx context.Context, r BuildRequest) (err error) {
	if s.apps.Build == nil {
		return missing("builder")
	}
	c, project, err := s.target()
	if err != nil {
		return err
	}
	steps := s.newSteps("building")
	built, err := s.apps.Build(ctx, r, steps.report)
	steps.end()
	if err != nil {
		return err
	}
	if built.Close != nil {
		defer func() { err = errors.Join(err, built.Close()) }()
	}
	if built.Project != "" && built.Project != project && s.flags.project != "" {
		return towpath.E(towpath.KindInvalid, "", "%s is the project %s, not %s", projectFile, built.Project, project).
			WithHint("leave --project away")
	}
	if built.Project != "" {
		project = built.Project
	}
	uploaded, err := s.upload(ctx, c, project, built.Blobs)
	if err != nil {
		return err
	}
	published, err := c.PublishRelease(ctx, project, api.PublishRelease{
		Manifest: built.Manifest, Provenance: built.Provenance, Commit: built.Commit, Ref: built.Ref, Version: built.Version,
		Evidence: built.Attached(),
	})
	if err != nil {
		return err
	}
	for _, w := range built.Warnings {
		s.say("%s %s", s.style.warn("warning:"), w)
	}
	s.warnUnbelieved(ctx, c, project, built)
	s.noteProposed(ctx, c, project)
	out := builtRelease{
		Project: project, Digest: published.Release.Digest, Version: published.Candidate.Version, Commit: published.Candidate.Commit,
		Ref: published.Candidate.Ref, Candidate: published.Candidate.ID, Created: published.Created, Uploaded: uploaded,
		SignedBy: built.SignedBy, Evidence: built.Evidence, Warnings: built.Warnings,
	}
	return s.print(result{data: out, names: []string{string(out.Digest)}, show: func(p *page) {
		p.field("release", p.style.bold(out.Version))
		p.field("digest", string(out.Digest))
		p.field("commit", string(out.Commit))
		p.field("candidate", string(out.Candidate))
		p.field("signed by", out.SignedBy)
		switch {
		case out.Created:
		case out.Uploaded > 0:
			p.line("it was published before; what the server did not have of it, or of what is about it, was added (%s)", size(out.Uploaded))
		default:
			p.line("it was published before, and the server had all of it")
		}
	}})
}

// upload sends the blobs that the server does not have, and counts their bytes.
func (s *session) upload(ctx context.Context, c *client.Client, project towpath.ProjectName, blobs []Blob) (int64, error) {
	var sent atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(uploads)
	for _, b := range blobs {
		g.Go(func() error {
			switch _, err := c.HasBlob(ctx, project, b.Digest); towpath.KindOf(err) {
			case towpath.KindNotFound:
			case towpath.KindForbidden: // the answer to HEAD has no body that says so
				return towpath.E(towpath.KindForbidden, "release.build", "you may not publish releases of %s", project).
					WithHint("it needs the role releaser: an admin runs towpath account grant ACCOUNT releaser --in %s", project)
			default:
				return err
			}
			if err := c.PutBlob(ctx, project, b.Digest, b.Size, b.Open); err != nil {
				return err
			}
			sent.Add(b.Size)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	if n := sent.Load(); n > 0 {
		s.say("uploaded %s", size(n))
	}
	return sent.Load(), nil
}
