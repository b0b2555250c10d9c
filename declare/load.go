package declare

import (
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/zerotouch-dps/dps"
)

// maxText bounds a file that a declaration names for a certificate or a secret, in bytes.
const maxText = 1 << 20

// Loader reads files and what they name.
type Loader struct {
	ReadFile func(path string) ([]byte, error)
	Getenv   func(name string) string
	IDScope  string // of a declaration that names none; empty: it must name one
}

// Load reads files, fetches the texts that they name from elsewhere, and holds them to
// what can be said without asking the server. Errors: [*Fault]s, joined, which bear no
// secret.
func (l Loader) Load(paths ...string) ([]Scope, error) {
	var scopes []Scope
	for _, path := range paths {
		text, err := l.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read declaration: %w", err)
		}
		of, err := Parse(path, text)
		if err != nil {
			return nil, err
		}
		scopes = append(scopes, of...)
	}
	return scopes, l.Complete(scopes)
}

// Complete does to scopes what Load does to those it read. Errors: as there.
func (l Loader) Complete(scopes []Scope) error {
	c := completion{Loader: l}
	seen := map[string]bool{}
	for i := range scopes {
		s := &scopes[i]
		c.scope(s)
		if id := dps.FoldASCII(s.ID()); seen[id] {
			c.fault(&s.place, "ID scope %s is declared twice", s.ID())
		} else {
			seen[id] = true
		}
	}
	return errors.Join(c.faults...)
}

// ID returns the ID scope.
func (s *Scope) ID() string {
	if s.Service == nil {
		return ""
	}
	return s.Service.IDScope
}

// completion is one call of Complete.
type completion struct {
	Loader

	faults []error
}

func (c *completion) fault(p *place, format string, args ...any) {
	c.faults = append(c.faults, p.faultf(format, args...))
}

func (c *completion) scope(s *Scope) {
	if s.Service == nil {
		s.Service = &Service{place: s.place}
	}
	if s.Service.IDScope == "" {
		s.Service.IDScope = c.IDScope
	}
	if s.ID() == "" {
		c.fault(&s.place, "which ID scope? give service.idScope")
	}
	for i := range s.Denials {
		c.denial(&s.Denials[i])
	}
	for i := range s.LinkedHubs {
		c.hub(&s.LinkedHubs[i])
	}
	for i := range s.Certificates {
		c.certificate(&s.Certificates[i])
	}
	for i := range s.Policies {
		p := &s.Policies[i]
		c.secret(&p.place, "primaryKey", &p.PrimaryKey, &p.PrimaryKeyFrom)
		c.secret(&p.place, "secondaryKey", &p.SecondaryKey, &p.SecondaryKeyFrom)
	}
	for i := range s.Webhooks {
		c.webhook(&s.Webhooks[i])
	}
	for i := range s.Hooks {
		c.hook(&s.Hooks[i])
	}
	for i := range s.EnrollmentGroups {
		c.settings(&s.EnrollmentGroups[i].place, &s.EnrollmentGroups[i].Settings)
	}
	for i := range s.Enrollments {
		c.settings(&s.Enrollments[i].place, &s.Enrollments[i].Settings)
	}
	for i := range s.EnrollmentFiles {
		c.file(&s.EnrollmentFiles[i])
	}
	c.names(s)
}

func (c *completion) hub(h *Hub) {
	c.secret(&h.place, "connectionString", &h.ConnectionString, &h.ConnectionStringFrom)
	c.text(&h.place, "trustedCertificates", &h.TrustedCertificates, &h.TrustedCertificatesFrom)
	if h.Embedded != "" {
		if h.Name != "" || !h.ConnectionString.IsZero() {
			c.fault(&h.place, "embedded excludes name and connectionString: the deployment itself has linked such a hub")
		}
		h.Name = h.Embedded
	}
	if h.Name == "" {
		h.Name = HostOf(h.ConnectionString.Reveal())
	}
}

// HostOf returns the HostName of a connection string, empty if it has none.
func HostOf(connectionString string) string {
	for part := range strings.SplitSeq(connectionString, ";") {
		name, value, _ := strings.Cut(part, "=")
		if strings.EqualFold(strings.TrimSpace(name), "HostName") {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (c *completion) certificate(m *Certificate) {
	c.inline(&m.place, &m.Certificate, &m.File)
	if m.Certificate != "" {
		if _, err := thumbprint(m.Certificate); err != nil {
			c.fault(&m.place, "certificate %s: %v", m.Name, err)
		}
	}
}

func (c *completion) settings(p *place, s *Settings) {
	a := s.Attestation
	if a == nil {
		c.fault(p, "attestation is missing: say how devices prove themselves, {type: symmetricKey}, tpm or x509")
		return
	}
	if k := a.SymmetricKey; k != nil {
		c.secret(&k.place, "primaryKey", &k.PrimaryKey, &k.PrimaryKeyFrom)
		c.secret(&k.place, "secondaryKey", &k.SecondaryKey, &k.SecondaryKeyFrom)
	}
	if a.X509 == nil {
		return
	}
	for _, slots := range []*Slots{a.X509.ClientCertificates, a.X509.SigningCertificates} {
		if slots == nil {
			continue
		}
		for _, slot := range []*Slot{slots.Primary, slots.Secondary} {
			if slot != nil {
				c.slot(slot)
			}
		}
	}
}

func (c *completion) slot(s *Slot) {
	c.inline(&s.place, &s.Certificate, &s.File)
	if s.Certificate == "" && s.SHA256Thumbprint != "" {
		return
	}
	if _, err := thumbprint(s.Certificate); err != nil {
		c.fault(&s.place, "%v", err)
	}
}

// file finds a lot's path; its rows are read by the import.
func (c *completion) file(f *EnrollmentFile) {
	if f.File == "" || f.Lot == "" {
		c.fault(&f.place, "an enrollment file needs file, and lot, by which its enrollments are told from declared ones")
		return
	}
	f.File = beside(f.file, f.File)
}

// secret fetches a secret from where the file says.
func (c *completion) secret(p *place, member string, to *Secret, from **Source) {
	text := to.Reveal()
	c.text(p, member, &text, from)
	*to = Secret{}
	if text = strings.TrimSpace(text); text != "" {
		*to = NewSecret(text)
	}
}

func (c *completion) text(p *place, member string, to *string, from **Source) {
	source := *from
	if source == nil {
		return
	}
	*from = nil
	switch {
	case *to != "":
		c.fault(p, "%s stands beside %sFrom; give one of them", member, member)
	case (source.File == "") == (source.Env == ""):
		c.fault(&source.place, "%sFrom must be {file: PATH} or {env: NAME}", member)
	case source.Env != "":
		if *to = c.Getenv(source.Env); *to == "" {
			c.fault(&source.place, "%sFrom: the environment variable %s is not set", member, source.Env)
		}
	default:
		*to = c.read(&source.place, source.File)
	}
}

// inline puts a file's certificate in its place.
func (c *completion) inline(p *place, certificate, file *string) {
	if *file == "" {
		return
	}
	if *certificate != "" {
		c.fault(p, "certificate stands beside file; give one of them")
		return
	}
	*certificate, *file = c.read(p, *file), ""
}

func (c *completion) read(p *place, path string) string {
	text, err := c.ReadFile(beside(p.file, path))
	switch {
	case err != nil:
		c.fault(p, "%v", err)
	case len(text) > maxText:
		c.fault(p, "%s is larger than 1 MiB", path)
	case strings.TrimSpace(string(text)) == "":
		c.fault(p, "%s is empty", path)
	case !utf8.Valid(text): // DER
		return base64.StdEncoding.EncodeToString(text)
	default:
		return string(text)
	}
	return ""
}

// beside takes a path relative to the file that names it.
func beside(file, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}

// names demands one of everything, and each once.
func (c *completion) names(s *Scope) {
	for _, list := range s.lists() {
		seen := map[string]bool{}
		for _, r := range list.resources {
			if r.name == "" {
				c.fault(r.at, "%s is missing", list.member)
				continue
			}
			if seen[keyOf(list.kind, r.name)] {
				c.fault(r.at, "%s %s is declared twice", list.kind, r.name)
			}
			seen[keyOf(list.kind, r.name)] = true
		}
	}
}

// listed is what a file says of one kind.
type listed struct {
	kind      Kind
	member    string // that bears the name
	mentioned bool
	resources []named
}

// named is a resource of a file.
type named struct {
	name string
	at   *place
	spec any // *Denial, *Hub, *Certificate, *Policy, *Webhook, *Hook, *Group, *Enrollment
}

// lists are the kinds whose resources stand for themselves, in the order in which they
// depend on each other.
func (s *Scope) lists() []listed {
	return []listed{
		list(KindDenial, "value", s.Denials, func(d *Denial) named { return named{denialName(d.model()), &d.place, d} }),
		list(KindHub, "name, or connectionString,", s.LinkedHubs, func(h *Hub) named { return named{h.Name, &h.place, h} }),
		list(KindCertificate, "name", s.Certificates, func(m *Certificate) named { return named{m.Name, &m.place, m} }),
		list(KindPolicy, "keyName", s.Policies, func(p *Policy) named { return named{p.KeyName, &p.place, p} }),
		list(KindWebhook, "host", s.Webhooks, func(w *Webhook) named { return named{w.Host, &w.place, w} }),
		list(KindHook, "name", s.Hooks, func(h *Hook) named { return named{h.Name, &h.place, h} }),
		list(KindGroup, "enrollmentGroupId", s.EnrollmentGroups, func(g *Group) named { return named{g.EnrollmentGroupID, &g.place, g} }),
		list(KindEnrollment, "registrationId", s.Enrollments, func(e *Enrollment) named { return named{e.RegistrationID, &e.place, e} }),
	}
}

func list[T any](kind Kind, member string, all []T, name func(*T) named) listed {
	l := listed{kind: kind, member: member, mentioned: all != nil}
	for i := range all {
		l.resources = append(l.resources, name(&all[i]))
	}
	return l
}
