package cli

import (
	"context"
	"crypto/ecdsa"
	"encoding/pem"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

// keyEnv names the file of the key that releases are signed with.
const keyEnv = "TOWPATH_KEY"

func newKey(s *session) *cobra.Command {
	return s.group("key", "Keys that sign releases, in cosign's format", newKeyGenerate(s), newKeyPublic(s))
}

// keyPair is the result of key generate.
type keyPair struct {
	ID      signing.KeyID `json:"id"`
	Private string        `json:"private"` // file
	Public  string        `json:"public"`  // file
}

func newKeyGenerate(s *session) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "generate", Short: "Make a key pair: cosign.key, encrypted with a password, and cosign.pub", Args: positional(0, 0),
		Long: "Makes an ECDSA P-256 key. The private key is encrypted with a password, which is asked for or taken from " +
			signing.PasswordEnv + ", and only its owner can read the file. No file is replaced. cosign can use both files.",
		Example: "  towpath key generate\n  towpath key generate --name builder-2027",
		RunE:    func(*cobra.Command, []string) error { return s.runKeyGenerate(name) },
	}
	cmd.Flags().StringVar(&name, "name", "cosign", "path of the files without .key and .pub")
	return cmd
}

func (s *session) runKeyGenerate(name string) error {
	out := keyPair{Private: s.path(name + ".key"), Public: s.path(name + ".pub")}
	if err := signing.Refuse(out.Private, out.Public); err != nil {
		return err // before a password is thought up
	}
	password, err := s.newPassword()
	if err != nil {
		return err
	}
	key, err := signing.Generate()
	if err != nil {
		return err
	}
	if err := signing.WriteNew(key, password, out.Private, out.Public); err != nil {
		return err
	}
	out.ID = key.ID()
	if err := s.print(result{data: out, names: []string{string(out.ID)}, show: func(p *page) {
		p.field("key", string(out.ID))
		p.field("private", out.Private)
		p.field("public", out.Public)
	}}); err != nil {
		return err
	}
	s.say("keep a copy of the private key and its password where only releases are signed; what it signed is trusted by its public key")
	return nil
}

// publicKey is the result of key public.
type publicKey struct {
	ID  signing.KeyID `json:"id"`
	PEM string        `json:"pem"`
}

func newKeyPublic(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "public [KEY]", Short: "Print the public key of a key, and its ID", Args: positional(0, 1),
		Long: "Prints the public key of a private key (its password is asked for, or taken from " + signing.PasswordEnv +
			") or of a public one, and of the program after exec:. It is " + keyEnv + " or cosign.key unless it is given.",
		Example: "  towpath key public\n  towpath key public cosign.pub -o json\n  towpath key public exec:/usr/local/bin/signer",
		RunE: func(cmd *cobra.Command, args []string) error {
			file := s.env(keyEnv)
			if len(args) > 0 {
				file = args[0]
			} else if file == "" {
				file = "cosign.key"
			}
			return s.runKeyPublic(cmd.Context(), s.keyName(file))
		},
	}
}

func (s *session) runKeyPublic(ctx context.Context, file string) error {
	public, err := s.readPublic(ctx, file)
	if err != nil {
		return err
	}
	id, err := signing.IDOf(public)
	if err != nil {
		return err
	}
	text, err := signing.EncodePublic(public)
	if err != nil {
		return err
	}
	out := publicKey{ID: id, PEM: string(text)}
	return s.print(result{data: out, names: []string{string(id)}, show: func(p *page) { p.text(out.PEM) }})
}

// readPublic is the public key of a file of either half.
func (s *session) readPublic(ctx context.Context, file string) (*ecdsa.PublicKey, error) {
	if strings.HasPrefix(file, signing.ExecPrefix) {
		key, err := signing.OpenExec(ctx, file, 0)
		if err != nil {
			return nil, err
		}
		if key.Certificate() != nil { // of minutes: to trust the key would be for nothing
			return nil, towpath.E(towpath.KindInvalid, "", "the program prints a certificate, and what it signs is believed by whose that is").On(file).
				WithHint("trust the identity: towpath trust add NAME --issuer … --subject … --authority …")
		}
		return key.Public(), nil
	}
	b, err := signing.ReadKeyFile(file)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(b); block != nil && block.Type == "PUBLIC KEY" {
		return signing.ParsePublic(b)
	}
	key, err := signing.Load(file, s.password)
	if err != nil {
		return nil, err
	}
	return key.Public(), nil
}

// keyName is a key that the user named: a file, or a program that has it.
func (s *session) keyName(name string) string {
	if strings.HasPrefix(name, signing.ExecPrefix) {
		return name
	}
	return s.path(name)
}

// path is a file that the user named, in the folder that -C names.
func (s *session) path(file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(s.flags.dir, file)
}
