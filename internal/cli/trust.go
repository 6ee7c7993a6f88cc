package cli

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

func newTrust(s *session) *cobra.Command {
	return s.group("trust", "Keys whose signatures are believed",
		newTrustAdd(s), newTrustList(s), newTrustPublic(s), newTrustExpire(s), newTrustRevoke(s))
}

type trustOptions struct {
	key, environment, notBefore, notAfter string
	issuer, subject, authority            string // in place of a key
	types                                 []string
	everywhere                            bool
}

func newTrustAdd(s *session) *cobra.Command {
	var o trustOptions
	cmd := &cobra.Command{
		Use: "add NAME --key FILE", Short: "Believe the signatures of a key or an identity, in this project or one of its environments",
		Long: "Trusts a public key (cosign.pub) under a name that the rules of environments can mean. To rotate keys, add the next one beside " +
			"the present one, then let that expire: both count in between.\n\n" +
			"With --issuer, --subject and --authority it trusts an identity: whoever has a certificate of that authority (Fulcio) for that subject " +
			"signs with a key of minutes, and the signature counts if the registry has it before the certificate ends.",
		Example: "  towpath trust add builder-2026 --key cosign.pub\n  towpath trust add security --key security.pub --type signature --env prod\n" +
			"  towpath trust add ci --issuer https://token.actions.githubusercontent.com --authority fulcio.pem \\\n" +
			"    --subject https://github.com/acme/shop/.github/workflows/release.yml@refs/heads/main",
		Args: positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if identity := o.issuer != "" && o.subject != "" && o.authority != ""; (o.key == "") != identity || o.key != "" && (o.issuer+o.subject+o.authority) != "" {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "either --key names the file of the public key, or --issuer, --subject and --authority an identity"))
			}
			return s.runTrustAdd(cmd.Context(), towpath.KeyName(args[0]), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.key, "key", "", "file of the public key, such as cosign.pub")
	f.StringVar(&o.issuer, "issuer", "", "who says who the subject is: the issuer in its certificates")
	f.StringVar(&o.subject, "subject", "", "who signs: the email address or URI in its certificates")
	f.StringVar(&o.authority, "authority", "", "PEM file with the certificates of who certifies that: the root of Fulcio, and what stands between")
	f.StringVar(&o.environment, "env", "", "only in this environment (default: all)")
	f.StringSliceVar(&o.types, "type", nil, "what it may sign: signature, provenance, sbom, promotion, scan, or a predicate type (default: the first three)")
	f.StringVar(&o.notBefore, "not-before", "", "RFC 3339 time, or a duration from now")
	f.StringVar(&o.notAfter, "not-after", "", "RFC 3339 time, or a duration from now")
	f.BoolVar(&o.everywhere, "everywhere", false, "in every project")
	return cmd
}

func (s *session) runTrustAdd(ctx context.Context, name towpath.KeyName, o trustOptions) error {
	pem, err := s.trusted(o)
	if err != nil {
		return err
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	r := api.TrustKey{Name: name, PublicKey: pem, Environment: towpath.EnvironmentName(o.environment)}
	if !o.everywhere {
		if _, r.Project, err = s.target(); err != nil {
			return err
		}
	}
	for _, t := range o.types {
		r.Types = append(r.Types, towpath.EvidenceType(t))
	}
	if r.NotBefore, err = s.moment(o.notBefore); err != nil {
		return err
	}
	if r.NotAfter, err = s.moment(o.notAfter); err != nil {
		return err
	}
	k, err := c.TrustKey(ctx, r)
	if err != nil {
		return s.suggestEnvironment(ctx, c, r.Project, r.Environment, err)
	}
	return s.printKey(k)
}

// trusted is the key or the identity that is to be trusted.
func (s *session) trusted(o trustOptions) (string, error) {
	if o.key != "" {
		if b, err := signing.ReadKeyFile(s.path(o.key)); err == nil {
			if _, ok, _ := signing.ReadIdentity(b); ok {
				return string(b), nil // as `trust public` prints it; the server reads it
			}
		}
		return s.readPublicPEM(o.key)
	}
	authority, err := os.ReadFile(s.path(o.authority))
	if err != nil {
		return "", towpath.E(towpath.KindInvalid, "", "the file of the authority's certificates can't be read").On(o.authority).WithCause(err)
	}
	text, err := signing.Identity{Issuer: o.issuer, Subject: o.subject, Authority: string(authority)}.Encode()
	return string(text), err
}

// whoOf is what signatures name a trusted key by: its ID, or whose certificate it is.
func whoOf(k towpath.TrustedKey) string {
	if i, ok, err := signing.ReadIdentity([]byte(k.PublicKey)); ok && err == nil {
		return i.Subject + " (" + i.Issuer + ")"
	}
	return k.ID
}

// readPublicPEM reads a public key. Of a private one nothing is read: what is
// handed out must not need its password.
func (s *session) readPublicPEM(file string) (string, error) {
	path := s.path(file)
	b, err := signing.ReadKeyFile(path)
	if err != nil {
		return "", err
	}
	if _, err := signing.ParsePublic(b); err != nil {
		if other := strings.TrimSuffix(path, ".key") + ".pub"; strings.HasSuffix(path, ".key") {
			if _, statErr := os.Stat(other); statErr == nil {
				return "", towpath.E(towpath.KindInvalid, "", "%s is no public key", file).WithHint("the public key is in %s", other)
			}
		}
		return "", err
	}
	return string(b), nil
}

func newTrustList(s *session) *cobra.Command {
	var env string
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List trusted keys, the revoked ones too", Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := s.target()
			if err != nil {
				return err
			}
			if err := s.knownEnvironment(cmd.Context(), c, project, towpath.EnvironmentName(env)); err != nil {
				return err
			}
			items, err := c.TrustedKeys(cmd.Context(), project, towpath.EnvironmentName(env))
			if err != nil {
				return err
			}
			r := result{data: api.TrustedKeys{Items: items}, none: "no key is trusted; `towpath trust add` trusts one", table: s.keyTable(items)}
			for _, k := range items {
				r.names = append(r.names, string(k.Name))
			}
			return s.print(r)
		},
	}
	cmd.Flags().StringVar(&env, "env", "", "only those that count in this environment")
	return cmd
}

func (s *session) keyTable(items []towpath.TrustedKey) table {
	p := &page{now: s.apps.Now()}
	t := table{columns: []string{"KEY", "SIGNS", "PROJECT", "ENVIRONMENT", "STATE", "BY", "AGE", "+ID"}}
	for _, k := range items {
		t.add(string(k.Name), join(k.Types), orAll(k.Project), orAll(k.Environment), s.keyState(k), orDash(k.AddedBy), p.age(k.AddedAt), whoOf(k))
	}
	return t
}

func orAll[T ~string](v T) string {
	if v == "" {
		return "(all)"
	}
	return string(v)
}

// keyState is a word and, where it is not enough, when or why.
func (s *session) keyState(k towpath.TrustedKey) string {
	now := s.apps.Now()
	switch {
	case k.Revoked != nil:
		return "revoked: " + k.Revoked.Reason
	case !k.NotBefore.IsZero() && now.Before(k.NotBefore):
		return "from " + at(k.NotBefore)
	case !k.NotAfter.IsZero() && !now.Before(k.NotAfter):
		return "expired " + at(k.NotAfter)
	case !k.NotAfter.IsZero():
		return "until " + at(k.NotAfter)
	}
	return "trusted"
}

func newTrustPublic(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "public NAME", Short: "Print the public key of a trusted key, or the identity; the server's own is called towpath",
		Long: "Prints a public key for those who verify outside. With the server's own, cosign checks how promotions of a release ended:\n\n" +
			"  towpath trust public towpath > towpath.pub\n" +
			"  cosign verify-attestation --key towpath.pub --insecure-ignore-tlog=true --type " + evidence.TypePromotion + " REGISTRY/PROJECT@DIGEST",
		Args: positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := s.target()
			if err != nil {
				return err
			}
			items, err := c.TrustedKeys(cmd.Context(), project, "")
			if err != nil {
				return err
			}
			for _, k := range items {
				if string(k.Name) == args[0] {
					return s.print(result{data: k, names: []string{string(k.Name)}, show: func(p *page) { p.text(k.PublicKey) }})
				}
			}
			return towpath.E(towpath.KindNotFound, "", "no key is called %q", args[0]).WithHint("see: towpath trust list")
		},
	}
}

func newTrustExpire(s *session) *cobra.Command {
	var when string
	cmd := &cobra.Command{
		Use: "expire NAME", Short: "Say until when signatures of a key count; those taken before go on counting",
		Example: "  towpath trust expire builder-2026 --at 720h",
		Args:    positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			t := s.apps.Now().Truncate(time.Second)
			if when != "" {
				if t, err = s.moment(when); err != nil {
					return err
				}
			}
			k, err := c.ExpireKey(cmd.Context(), towpath.KeyName(args[0]), t)
			if err != nil {
				return listed(err, "towpath trust list")
			}
			return s.printKey(k)
		},
	}
	cmd.Flags().StringVar(&when, "at", "", "RFC 3339 time, or a duration from now (default now)")
	return cmd
}

func newTrustRevoke(s *session) *cobra.Command {
	var reason string
	var everywhere bool
	cmd := &cobra.Command{
		Use: "revoke NAME --reason TEXT", Short: "Make everything that a key ever signed worthless, and quarantine what only it signed",
		Long: "For a key that got into wrong hands. Nothing that it signed counts any more, whenever that was; releases that no other trusted " +
			"key signed are quarantined. It can't be taken back: trust another key. The answer says how many releases that reaches, in how many projects, and which environments run one: of those that you may see.\n\n" +
			"With --everywhere, in every project, under every name that the key has: nobody can trust it again. It takes an admin of everything.",
		Args: positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--reason says why; it stands on everything that the key signed"))
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			k, err := c.RevokeKey(cmd.Context(), towpath.KeyName(args[0]), reason, everywhere)
			if err != nil {
				return listed(err, "towpath trust list")
			}
			k.Affected = s.settled(cmd.Context(), k.Affected, func(ctx context.Context) (towpath.Affected, error) {
				return c.AffectedByKey(ctx, k.Name)
			})
			return s.print(result{data: k, names: []string{string(k.Name)}, show: func(p *page) {
				s.showKey(p, k.TrustedKey)
				showAffected(p, k.Affected, "no release that you may see was signed by it alone")
			}})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	cmd.Flags().BoolVar(&everywhere, "everywhere", false, "in every project, under every name that the key has")
	return cmd
}

func (s *session) printKey(k towpath.TrustedKey) error {
	return s.print(result{data: k, names: []string{string(k.Name)}, show: func(p *page) { s.showKey(p, k) }})
}

func (s *session) showKey(p *page, k towpath.TrustedKey) {
	p.field("key", p.style.bold(string(k.Name)))
	p.field("id", k.ID)
	if who := whoOf(k); who != k.ID {
		p.field("identity", who)
	}
	p.field("signs", join(k.Types))
	p.field("project", orAll(k.Project))
	p.field("environment", orAll(k.Environment))
	p.field("state", s.keyState(k))
}
