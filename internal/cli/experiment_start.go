package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

type experimentOptions struct {
	share          int
	length         time.Duration
	on, more, less []string
	match          []string
	sticky         string
	prices, reason string
	watch, yes     bool
	people         bool // watch on while people have to approve
}

func newExperimentStart(s *session) *cobra.Command {
	var o experimentOptions
	cmd := &cobra.Command{
		Use: "start ENV RELEASE", Short: "Have a release run beside what an environment runs, for a while",
		Long: "It gets a share of the traffic through the gates of the environment, like a promotion. When the time is over, what ran before has all " +
			"of it again. It goes back at once, with a hold, when it is worse by an objective that is critical. " +
			"It is about one component: a release that changes several is refused.\n\n" +
			"--match header:X-Beta=1 sends the requests with that header there, cookie:beta=1 those with that cookie; ~ instead of = is a regular expression. " +
			"--sticky cookie has clients stay with the release that they had, by a cookie (cookie:NAME), or by a header's value with header:NAME.\n\n" +
			"--more and --less compare what a query counts per request, under a name that no objective has, --prices what 1,000 requests cost.\n\n" +
			"With --watch it exits 0 when the experiment has ended as planned or was stopped, whatever it found, and 6 when the release went back because it is worse.",
		Example: "  towpath experiment start prod 1.5.0 --share 20 --for 2h --on errors,speed --sticky cookie \\\n" +
			"    --more 'purchases=orders_total{revision=\"{{revision}}\"} or vector(0)'",
		Args: positional(2, 2), ValidArgsFunction: s.completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := s.experimentOf(o)
			if err != nil {
				return usageError(cmd, err)
			}
			c, project, err := s.target()
			if err != nil {
				return err
			}
			env := towpath.EnvironmentName(args[0])
			if !o.yes && guarded(cmd.Context(), c, project, env, args[1]) {
				if err := s.confirm(cmd.Context(), fmt.Sprintf("give %s %d %% of the traffic of", args[1], o.share), env, o.yes); err != nil {
					return err
				}
			}
			p, err := c.StartExperiment(cmd.Context(), project, env, api.StartExperiment{Release: args[1], Experiment: e})
			if err != nil {
				return s.suggestPromotion(cmd.Context(), c, project, api.Promote{Release: args[1], Environment: env}, err)
			}
			if o.watch {
				return s.watchPromotion(cmd.Context(), c, p, o.people)
			}
			if err := s.printPromotion(p); err != nil {
				return err
			}
			if p.Phase == towpath.PromotionDenied {
				return outcome(ExitDenied)
			}
			s.say("look at it with: towpath experiment show %s", env)
			return nil
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.share, "share", 10, "percent of the traffic that the release gets")
	f.DurationVar(&o.length, "for", time.Hour, "how long")
	f.StringSliceVar(&o.on, "on", nil, "objectives that both are compared by; left out, all")
	f.StringArrayVar(&o.more, "more", nil, "NAME=QUERY of what is better when there is more of it per request")
	f.StringArrayVar(&o.less, "less", nil, "NAME=QUERY of what is better when there is less of it per request")
	f.StringArrayVar(&o.match, "match", nil, "requests that go to the release whatever the share: header:NAME=VALUE, cookie:NAME~REGEX")
	f.StringVar(&o.sticky, "sticky", "", "have clients stay: cookie, cookie:NAME or header:NAME")
	f.StringVar(&o.prices, "prices", "", "file of prices, to compare the cost of 1,000 requests")
	f.StringVar(&o.reason, "reason", "", "why; kept with the experiment")
	f.BoolVarP(&o.watch, "watch", "w", false, "follow until the end, or until it waits for people")
	f.BoolVar(&o.people, "through-approval", false, "with --watch: go on while it waits for people")
	f.BoolVarP(&o.yes, "yes", "y", false, "don't ask")
	return cmd
}

// stickyCookie is the cookie of clients that stay, unless told otherwise.
const stickyCookie = "towpath-release"

// experimentOf reads an experiment from its flags.
func (s *session) experimentOf(o experimentOptions) (towpath.Experiment, error) {
	e := towpath.Experiment{Share: o.share, For: o.length, On: o.on, Reason: o.reason}
	for _, flag := range []struct {
		better string
		all    []string
	}{{"more", o.more}, {"less", o.less}} {
		for _, text := range flag.all {
			name, query, ok := strings.Cut(text, "=")
			if !ok || name == "" || query == "" {
				return e, towpath.E(towpath.KindInvalid, "", "--%s %q is not NAME=QUERY", flag.better, text).
					WithHint("--%s 'purchases=orders_total{revision=\"{{revision}}\"} or vector(0)' counts orders", flag.better)
			}
			e.Measures = append(e.Measures, towpath.Measure{Name: name, Query: query, Better: flag.better})
		}
	}
	for _, text := range o.match {
		m, err := matchOf(text)
		if err != nil {
			return e, err
		}
		e.Match = append(e.Match, m)
	}
	by, name, _ := strings.Cut(o.sticky, ":")
	switch {
	case o.sticky == "":
	case by == "cookie" && name == "":
		e.Sticky = &towpath.TrafficSticky{Cookie: stickyCookie}
	case by == "cookie":
		e.Sticky = &towpath.TrafficSticky{Cookie: name}
	case by == "header" && name != "":
		e.Sticky = &towpath.TrafficSticky{Header: name}
	default:
		return e, towpath.E(towpath.KindInvalid, "", "--sticky is %q, and may be cookie, cookie:NAME or header:NAME", o.sticky).
			WithHint("--sticky cookie has clients stay by a cookie that is set for them, --sticky header:X-User by what they send")
	}
	if o.prices == "" {
		return e, nil
	}
	raw, err := s.readFile(o.prices, "it is JSON: {\"currency\": \"EUR\", \"request\": 0.0000002, \"items\": [{\"name\": …, \"query\": …, \"price\": …}]}")
	if err != nil {
		return e, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&e.Prices); err != nil {
		return e, towpath.E(towpath.KindInvalid, "", "the prices can't be read: %v", err).On(o.prices).
			WithHint("they are JSON: {\"currency\": \"EUR\", \"request\": 0.0000002, \"items\": [{\"name\": …, \"query\": …, \"price\": …}]}")
	}
	return e, nil
}

// matchOf reads header:NAME=VALUE, or with ~ and an expression; cookie likewise.
func matchOf(text string) (towpath.TrafficMatch, error) {
	var m towpath.TrafficMatch
	by, rest, _ := strings.Cut(text, ":")
	at := strings.IndexAny(rest, "=~")
	if by != "header" && by != "cookie" || at < 1 || at == len(rest)-1 {
		return m, towpath.E(towpath.KindInvalid, "", "--match %q is neither header:NAME=VALUE nor cookie:NAME=VALUE (or ~ and an expression)", text).
			WithHint("--match header:X-Beta=1 has requests with that header go there, --match 'cookie:beta~^(yes|on)$' those with a cookie that the expression fits")
	}
	if name := rest[:at]; by == "header" {
		m.Header = name
	} else {
		m.Cookie = name
	}
	if value := rest[at+1:]; rest[at] == '=' {
		m.Exact = value
	} else if _, err := regexp.Compile(value); err != nil {
		return m, towpath.E(towpath.KindInvalid, "", "--match %q has an expression that can't be read: %v", text, err).
			WithHint("for a value as it stands write = instead of ~; expressions are those of https://github.com/google/re2/wiki/Syntax")
	} else {
		m.Regex = value
	}
	return m, nil
}
