package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/mirror"
	"github.com/towpath/towpath/internal/towpath"
)

func newRegistryMirror(s *session) *cobra.Command {
	var from []string
	var none bool
	cmd := &cobra.Command{
		Use: "mirror", Short: "Show what releases take from other registries and how far it is mirrored, or set from where",
		Long: "The server copies the images and charts that a release pins in other registries into PROJECT/mirror/HOST/PATH, by digest, with all " +
			"platforms and everything that is attached to them, when the release is published. It compares every digest. A source that is down is tried " +
			"again. What is mirrored stays as long as a release that pins it keeps its bytes.\n\n" +
			"Only the sources that --from names are asked: a host, or a host and the beginning of a path. http:// says that a source has no TLS. The " +
			"server logs in with its registry-auth.json, a configuration file as docker keeps it; so setting sources takes an administrator of the server. " +
			"With --output json, `repository` and `digest` say where each image is here.",
		Example: "  towpath registry mirror\n  towpath registry mirror --from docker.io --from ghcr.io/acme",
		Args:    positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if none && len(from) > 0 {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--none takes every source away, and --from sets some: choose one"))
			}
			c, project, err := s.target()
			if err != nil {
				return err
			}
			if none || len(from) > 0 {
				if err := c.SetMirrorSources(cmd.Context(), project, mirrorSources(from)); err != nil {
					return err
				}
			}
			st, err := c.Mirror(cmd.Context(), project)
			if err != nil {
				return err
			}
			names := make([]string, len(st.Images))
			for i, x := range st.Images {
				names[i] = string(x.Repository) + "@" + string(x.Digest)
			}
			return s.print(result{data: st, names: names, show: func(p *page) { showMirror(p, st) }})
		},
	}
	cmd.Flags().StringArrayVar(&from, "from", nil, "source to mirror from, as in docker.io or ghcr.io/acme; repeat for more; replaces those that are set")
	cmd.Flags().BoolVar(&none, "none", false, "take every source away; what is mirrored stays")
	return cmd
}

func mirrorSources(from []string) []towpath.MirrorSource {
	out := []towpath.MirrorSource{}
	for _, f := range from {
		name, plain := strings.CutPrefix(f, "http://")
		out = append(out, towpath.MirrorSource{From: strings.TrimPrefix(name, "https://"), PlainHTTP: plain})
	}
	return out
}

func showMirror(p *page, st mirror.Status) {
	sources := make([]string, len(st.Sources))
	for i, x := range st.Sources {
		sources[i] = x.From
	}
	p.field("sources", orDash(strings.Join(sources, ", ")))
	lag := dash
	if !st.Lag.IsZero() {
		lag = p.age(st.Lag)
	}
	p.field("behind", strconv.Itoa(st.Behind))
	p.field("lag", lag)
	if len(st.Images) == 0 {
		p.line("\nno release takes anything from other registries")
		return
	}
	p.heading("Images")
	t := table{columns: []string{"SOURCE", "DIGEST", "STATE", "SIZE", "FAILED", "ERROR", "+REPOSITORY"}}
	rule := towpath.MirrorRule{Sources: st.Sources}
	var uncovered []string
	for _, x := range st.Images {
		_, covered := rule.Source(x.Source)
		state, bytes := "on its way", dash
		switch {
		case !x.Needed:
			state = "not needed"
		case !x.Done.IsZero():
			state = "mirrored"
		case !covered:
			state, uncovered = "no source", append(uncovered, x.Source)
		}
		if !x.Done.IsZero() {
			bytes = size(x.Bytes)
		}
		t.add(x.Source, short(x.Digest), state, bytes, strconv.Itoa(x.Attempts), orDash(x.Error), string(x.Repository))
	}
	p.table(t)
	if len(uncovered) > 0 {
		p.line("\nWhat no source covers is never mirrored. An administrator of the server says from where: %s", rule.Command(uncovered...))
	}
}
