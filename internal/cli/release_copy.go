package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

type copyOptions struct {
	to, from      string
	user          string
	passwordStdin bool
	plainHTTP     bool
	trust         bool
	images        bool
	login         *replicate.Login // that was given
}

// copiedRelease is the result of release copy.
type copiedRelease struct {
	Release towpath.Digest `json:"release"`
	From    string         `json:"from"`
	To      string         `json:"to"`               // repository
	Tags    []string       `json:"tags"`             // that name it there
	Images  []string       `json:"images,omitempty"` // that were copied along, where they are there
	replicate.Result
	Verified bool `json:"verified"` // always: what can't be verified is an error
}

func newReleaseCopy(s *session) *cobra.Command {
	var o copyOptions
	cmd := &cobra.Command{
		Use: "copy RELEASE --to REGISTRY/REPOSITORY[:TAG]", Short: "Copy a release with all its evidence to another registry",
		Long: "Copies the release, everything that is attached to it and to that, and what it was published with to any OCI 1.1 registry; what is there is " +
			"not sent again. Then the registry is read again: every manifest and blob is compared with its digest, and everything that is attached " +
			"has to be listed. A registry that says nothing, or that something could not be done now, is waited for and tried again, and stderr says so. Its tags, the given one or all versions of the release, are set last and never moved.\n\n" +
			"Logs in with what docker login or oras login keep (DOCKER_CONFIG), or with --username and --password-stdin. With --from it is copied from a layout " +
			"that release export wrote, or from another registry.",
		Example: "  towpath release copy 1.4.0 --to registry.example/shop\n  towpath release copy 1.4.0 --from shop-1.4.0.tar --to registry.example/shop:stable",
		Args:    positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case o.to == "":
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--to says to which repository"))
			case o.images && o.from != "":
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--with-images takes what the server has mirrored, and --from is another place: choose one"))
			case o.passwordStdin != (o.user != ""):
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--username and --password-stdin go together"))
			}
			return s.runReleaseCopy(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.to, "to", "", "repository of a registry, with a tag or without")
	f.StringVar(&o.from, "from", "", "copy from a layout (folder, or .tar) or a repository of a registry, not from the server")
	f.BoolVar(&o.images, "with-images", false, "copy what the release takes from other registries too, to REPOSITORY/mirror/HOST/PATH; all of it has to be mirrored")
	f.StringVar(&o.user, "username", "", "user at the registry that is written to")
	f.BoolVar(&o.passwordStdin, "password-stdin", false, "read that user's password from stdin")
	f.BoolVar(&o.plainHTTP, "plain-http", false, "the registries have no TLS; passwords are sent to this machine only")
	f.BoolVar(&o.trust, "no-read-back", false, "believe the registry that it has the blobs, don't read them again")
	return cmd
}

func (s *session) runReleaseCopy(ctx context.Context, name string, o copyOptions) (err error) {
	repository, tag, err := replicate.SplitReference(o.to)
	if err != nil {
		return err
	}
	if err := s.givenLogin(repository, &o); err != nil {
		return err
	}
	target, err := s.copyTo(repository, o)
	if err != nil {
		return err
	}
	from, err := s.copySource(ctx, name, repository, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.close()) }()
	if tag != "" {
		from.tags = []string{tag}
	}
	out := copiedRelease{Release: towpath.Digest(from.graph.Root.Digest), From: from.name, To: repository, Tags: from.tags}
	if err := s.freeTags(ctx, target, from.graph.Root, from.tags); err != nil {
		return err
	}
	if err := s.copyImages(ctx, from.images, repository, o, &out); err != nil { // before what needs them
		return err
	}
	moved, err := s.copyGraph(ctx, from, target, o)
	if err != nil {
		return err
	}
	out.Add(moved)
	if err := s.setTags(ctx, from, target); err != nil {
		return err
	}
	out.Verified = true
	return s.print(result{data: out, names: []string{string(out.Release)}, show: func(p *page) { showCopied(p, out) }})
}

// givenLogin reads the password of the user that was named, if one was.
func (s *session) givenLogin(repository string, o *copyOptions) error {
	if o.user == "" {
		return nil
	}
	if host, _, _ := strings.Cut(repository, "/"); o.plainHTTP {
		if err := replicate.InClear(host); err != nil {
			return err
		}
	}
	b, err := io.ReadAll(io.LimitReader(s.stdin, 64<<10))
	if err != nil {
		return towpath.E(towpath.KindInvalid, "", "the password can't be read from stdin").WithCause(err)
	}
	o.login = &replicate.Login{User: o.user, Password: strings.TrimRight(string(b), "\r\n")}
	return nil
}

// copyTo is a repository of the registry that is written to.
func (s *session) copyTo(repository string, o copyOptions) (*replicate.Remote, error) {
	logins, err := s.logins()
	if err != nil {
		return nil, err
	}
	if o.login != nil {
		logins = func(context.Context, string) (replicate.Login, error) { return *o.login, nil }
	}
	return s.registry(repository, logins, o)
}

type logins = func(context.Context, string) (replicate.Login, error)

func (s *session) registry(repository string, l logins, o copyOptions) (*replicate.Remote, error) {
	return replicate.NewRemote(replicate.RemoteConfig{
		Repository: repository, PlainHTTP: o.plainHTTP, Login: l, UserAgent: "towpath/" + s.apps.Version, Waits: s.waitsFor,
	})
}

// logins are those that the clients of registries keep.
func (s *session) logins() (logins, error) {
	dir := s.env("DOCKER_CONFIG")
	if dir == "" {
		home := s.env("HOME")
		if home == "" {
			var err error
			if home, err = os.UserHomeDir(); err != nil {
				return nil, towpath.E(towpath.KindInvalid, "", "nobody knows where docker's configuration is").WithCause(err).WithHint("set DOCKER_CONFIG to its folder")
			}
		}
		dir = filepath.Join(home, ".docker")
	}
	return replicate.DockerLogins(filepath.Join(dir, "config.json"))
}

// copied is a release in the place that it is copied from.
type copied struct {
	name   string // of the place
	source replicate.Source
	graph  *replicate.Graph
	tags   []string
	images []heldImage
	close  func() error
}

// onlyWriter refuses to write where a rule of the project writes: a subject has one
// writer, for a registry without lists of referrers has them in a tag, and who
// writes that at the same time as another takes away what the other added.
func onlyWriter(ctx context.Context, h held, repository string) error {
	all, err := h.client.Replications(ctx, h.project)
	if err != nil {
		return err
	}
	for _, rule := range all.Items {
		if rule.To == repository {
			return towpath.E(towpath.KindConflict, "", "the rule %s copies releases there, and a repository has one writer", rule.Name).On(repository).
				WithHint("it copies what is published or attached by itself: see `towpath replication list`; or copy to another repository")
		}
	}
	return nil
}

// copySource finds the release where it is copied from.
func (s *session) copySource(ctx context.Context, name, repository string, o copyOptions) (copied, error) {
	from := copied{name: o.from, close: func() error { return nil }}
	if o.from == "" {
		h, err := s.takeRelease(ctx, name)
		if err != nil {
			return from, err
		}
		if err := onlyWriter(ctx, h, repository); err != nil {
			return from, err
		}
		from.name, from.source, from.graph, from.tags = s.connection.URL(), h.source, h.graph, tags(h.versions)
		if o.images {
			from.images, err = s.takeImages(ctx, h.client, h.release)
		}
		return from, err
	}
	var root v1.Descriptor
	var err error
	if isLayout(s.path(o.from)) {
		var layout *replicate.Layout
		if layout, err = replicate.OpenLayout(ctx, s.path(o.from), replicate.Limits{}); err != nil {
			return from, err
		}
		from.source, from.close = layout, layout.Close
		root, err = layout.Resolve(reference(name))
	} else {
		var remote *replicate.Remote
		if remote, err = s.remoteSource(o); err != nil {
			return from, err
		}
		from.source = remote
		root, err = remote.Resolve(ctx, s.patiently(), reference(name))
	}
	if err == nil {
		from.graph, err = replicate.Walk(ctx, from.source, root, s.patiently())
	}
	if err != nil {
		return from, errors.Join(err, from.close())
	}
	if !strings.HasPrefix(name, "sha256:") {
		from.tags = tags([]string{name})
	}
	return from, nil
}

func (s *session) remoteSource(o copyOptions) (*replicate.Remote, error) {
	logins, err := s.logins()
	if err != nil {
		return nil, err
	}
	return s.registry(o.from, logins, o)
}

// reference is the name of a release where names are tags and digests.
func reference(name string) string {
	if towpath.Digest(name).Algorithm() != "" {
		return name
	}
	if t := towpath.VersionTag(name); t != "" {
		return t
	}
	return name
}

// isLayout tells a file or folder from the name of a repository.
func isLayout(path string) bool {
	_, err := os.Stat(path)
	return err == nil || strings.HasSuffix(path, ".tar")
}

// freeTags makes sure, before anything is sent, that no tag names something
// else there.
func (s *session) freeTags(ctx context.Context, target *replicate.Remote, root v1.Descriptor, tags []string) error {
	for _, tag := range tags {
		d, err := target.Resolve(ctx, s.patiently(), tag)
		switch {
		case towpath.KindOf(err) == towpath.KindNotFound:
		case err != nil:
			return err
		case d.Digest != root.Digest:
			return towpath.E(towpath.KindConflict, "release.copy", "the tag %s is something else there, and it is not moved", tag).On(string(d.Digest)).
				WithHint("nothing was sent; give another tag: --to %s/%s:TAG", target.Host(), target.Name())
		}
	}
	return nil
}

// copyGraph copies, and shows how far it is.
func (s *session) copyGraph(ctx context.Context, from copied, target *replicate.Remote, o copyOptions) (replicate.Result, error) {
	shown := s.newCopying("copying to "+target.Host()+"/"+target.Name(), from.graph)
	cfg := shown.config()
	cfg.Trust = o.trust
	result, err := replicate.Copy(ctx, from.source, target, from.graph, cfg)
	shown.end(err)
	return result, err
}

// setTags names the release there, and makes sure that it is so.
func (s *session) setTags(ctx context.Context, from copied, target *replicate.Remote) error {
	root := from.graph.Root
	if len(from.tags) == 0 {
		return nil
	}
	manifest, err := from.source.Manifest(ctx, root)
	if err != nil {
		return err
	}
	for _, tag := range from.tags {
		if err := target.Tag(ctx, s.patiently(), root, manifest, tag); err != nil {
			return err
		}
	}
	return s.tagsMean(ctx, target, root, from.tags)
}

func (s *session) tagsMean(ctx context.Context, target *replicate.Remote, root v1.Descriptor, tags []string) error {
	for _, tag := range tags {
		d, err := target.Resolve(ctx, s.patiently(), tag)
		if err != nil {
			return err
		}
		if d.Digest != root.Digest {
			return towpath.E(towpath.KindConflict, "release.copy", "the tag %s names something else there as soon as it is set", tag).On(string(d.Digest)).
				WithHint("somebody else moves it: find out who")
		}
	}
	return nil
}

func showCopied(p *page, out copiedRelease) {
	p.field("release", p.style.bold(string(out.Release)))
	p.field("to", out.To)
	p.field("tags", strings.Join(out.Tags, ", "))
	for _, i := range out.Images {
		p.field("image", i)
	}
	count := func(name string, c replicate.Count) {
		p.field(name, plural(c.Copied, "copied", "copied")+", "+plural(c.Present, "present", "present"))
	}
	count("manifests", out.Manifests)
	count("blobs", out.Blobs)
	if out.Mounted > 0 {
		p.field("mounted", plural(out.Mounted, "blob", "blobs")+" without sending them")
	}
	p.field("sent", size(out.Bytes))
	p.line("%s", p.style.good("everything is there, and every digest is right"))
}
