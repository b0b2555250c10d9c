package arm

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/declare"
)

// Import is what files of the original say, as a declaration.
type Import struct {
	Scope declare.Scope
	// Notes tell, a sentence each, what could not be taken over.
	Notes []string

	found bool // a service
}

// Read reads JSON: the service, its policies with keys, its certificates, in any order,
// in one text or in several. What it does not know it passes over. Errors: of texts
// that are not JSON, or in which there is nothing of it; they repeat no text.
func (i *Import) Read(name string, text []byte) error {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	known := false
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var raw json.RawMessage
		err := d.Decode(&raw)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		one, err := i.any(raw, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		known = known || one
	}
	if !known {
		return fmt.Errorf("%s: holds neither a provisioning service, nor access policies, nor certificates", name)
	}
	return nil
}

// maxLists bounds lists within lists: a list, or a list under "value".
const maxLists = 3

func (i *Import) any(raw json.RawMessage, depth int) (bool, error) {
	if raw = bytes.TrimSpace(raw); len(raw) > 0 && raw[0] == '[' {
		return i.list(raw, depth)
	}
	var p probe
	if err := json.Unmarshal(raw, &p); err != nil {
		return false, shape(err)
	}
	switch {
	case p.KeyName != nil:
		return true, decode(raw, i.policy)
	case p.Properties != nil && (p.Properties.IDScope != nil || p.Properties.ServiceOperations != nil || p.Properties.IotHubs != nil):
		return true, decode(raw, i.service)
	case p.Properties != nil && (p.Properties.Certificate != nil || p.Properties.Thumbprint != nil):
		return true, decode(raw, i.certificate)
	case len(p.Value) > 0:
		return i.list(bytes.TrimSpace(p.Value), depth)
	}
	return false, nil
}

func (i *Import) list(raw json.RawMessage, depth int) (bool, error) {
	var items []json.RawMessage
	if depth >= maxLists || raw[0] != '[' {
		return false, nil
	}
	if err := json.Unmarshal(raw, &items); err != nil {
		return false, err
	}
	known := len(items) == 0 // an empty list of policies is one, too
	for _, item := range items {
		one, err := i.any(item, depth+1)
		if err != nil {
			return false, err
		}
		known = known || one
	}
	return known, nil
}

func decode[T any](raw json.RawMessage, take func(T)) error {
	var m T
	if err := json.Unmarshal(raw, &m); err != nil {
		return shape(err)
	}
	take(m)
	return nil
}

// shape tells of a member of another type without repeating its value.
func shape(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("the member %q is of type %s, which is not the original's", e.Field, e.Value)
	}
	return err
}

func (i *Import) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(i.Notes, text) {
		i.Notes = append(i.Notes, text)
	}
}

func (i *Import) settings() *declare.Service {
	if i.Scope.Service == nil {
		i.Scope.Service = &declare.Service{}
	}
	return i.Scope.Service
}

func (i *Import) service(m Service) {
	s, p := i.settings(), m.Properties
	if i.found {
		i.note("several provisioning services: the settings are those of the last")
	}
	i.found = true
	s.IDScope, s.AllocationPolicy, s.DisableLocalAuth, s.MinTLSVersion = p.IDScope, p.AllocationPolicy, p.DisableLocalAuth, p.MinTLSVersion
	if p.ServiceOperationsHostName != "" {
		s.HostNames = &[]string{p.ServiceOperationsHostName}
	}
	for _, h := range p.IotHubs {
		i.hub(h)
	}
	for _, policy := range p.AuthorizationPolicies {
		i.policy(policy)
	}
	for _, c := range m.Certificates {
		i.certificate(c)
	}
	i.Scope.IPFilterRules = nil
	for _, r := range p.IPFilterRules {
		i.ipRule(declare.IPRule{FilterName: r.FilterName, Action: r.Action, IPMask: r.IPMask, Target: r.Target}, p.IPFilterRules)
	}
	i.cloudOnly(p)
}

// cloudOnly tells of what has no meaning outside of the cloud.
func (i *Import) cloudOnly(p Properties) {
	if strings.EqualFold(p.PublicNetworkAccess, "Disabled") {
		i.note("publicNetworkAccess is Disabled: shut the addresses out by a firewall, or by ipFilterRules")
	}
	if len(p.PrivateEndpointConnections) > 0 {
		i.note("privateEndpointConnections are of the cloud's network and are left out")
	}
	if p.DeviceRegistryNamespace != nil {
		i.note("deviceRegistryNamespace is a product of the cloud and is left out")
	}
}

// ipRule takes a rule over. One that shuts everybody out gets a likeness for IPv6, which
// the original's filter does not know.
func (i *Import) ipRule(r declare.IPRule, all []IPRule) {
	i.Scope.IPFilterRules = append(i.Scope.IPFilterRules, r)
	if r.IPMask != "0.0.0.0/0" || !strings.EqualFold(r.Action, "Reject") {
		return
	}
	const everybody = "::/0"
	if slices.ContainsFunc(all, func(o IPRule) bool { return o.IPMask == everybody && strings.EqualFold(o.Target, r.Target) }) {
		return
	}
	r.FilterName, r.IPMask = r.FilterName+" (IPv6)", everybody
	i.Scope.IPFilterRules = append(i.Scope.IPFilterRules, r)
	i.note("ipFilterRules shut out all of IPv4: a rule %q was added that shuts out IPv6, too", r.FilterName)
}

func (i *Import) hub(m Hub) {
	h := declare.Hub{Name: m.Name, Location: m.Location, AllocationWeight: m.AllocationWeight, ApplyAllocationPolicy: m.ApplyAllocationPolicy}
	if h.Name == "" {
		h.Name = m.HostName
	}
	if h.Name == "" {
		h.Name = declare.HostOf(m.ConnectionString)
	}
	if m.ConnectionString != "" && !strings.Contains(m.ConnectionString, "***") {
		h.ConnectionString = declare.NewSecret(m.ConnectionString)
	}
	i.Scope.LinkedHubs = upsert(i.Scope.LinkedHubs, h, func(h declare.Hub) string { return h.Name })
}

func (i *Import) policy(m Policy) {
	p := declare.Policy{KeyName: m.KeyName}
	for right := range strings.SplitSeq(m.Rights, ",") {
		if right = strings.TrimSpace(right); right != "" {
			p.Rights = append(p.Rights, right)
		}
	}
	if isOwner(p.Rights) {
		p.Rights = allRights()
		i.note("policy %s has the rights of the original's owner policy, which are all; it is given all by name", p.KeyName)
	}
	for _, slot := range []struct {
		from string
		to   *declare.Secret
	}{{m.PrimaryKey, &p.PrimaryKey}, {m.SecondaryKey, &p.SecondaryKey}} {
		if slot.from != "" && !strings.Contains(slot.from, "***") {
			*slot.to = declare.NewSecret(slot.from)
		}
	}
	if at := slices.IndexFunc(i.Scope.Policies, func(o declare.Policy) bool { return o.KeyName == p.KeyName }); at >= 0 && p.PrimaryKey.IsZero() {
		return // what has keys is better
	}
	i.Scope.Policies = upsert(i.Scope.Policies, p, func(p declare.Policy) string { return p.KeyName })
}

// isOwner reports whether rights are those that the original writes for a policy with all
// of them, such as provisioningserviceowner: what others contain is left out.
func isOwner(rights []string) bool {
	owner := []string{"deviceconnect", "enrollmentwrite", "serviceconfig"}
	got := make([]string, len(rights))
	for n, right := range rights {
		got[n] = dps.FoldASCII(right)
	}
	slices.Sort(got)
	return slices.Equal(got, owner)
}

func allRights() []string {
	return []string{"ServiceConfig", "EnrollmentRead", "EnrollmentWrite", "DeviceConnect", "RegistrationStatusRead", "RegistrationStatusWrite"}
}

func (i *Import) certificate(m Certificate) {
	text, err := certificateText(m.Properties.Certificate)
	if err != nil {
		i.note("certificate %s is not in the file: add it by \"dps ca add %s FILE\", or by \"az iot dps certificate list\"", m.Name, m.Name)
		return
	}
	c := declare.Certificate{Name: m.Name, Certificate: text, IsVerified: m.Properties.IsVerified}
	i.Scope.Certificates = upsert(i.Scope.Certificates, c, func(c declare.Certificate) string { return c.Name })
}

// certificateText unpacks base64 of PEM; base64 of DER is text already.
func certificateText(text string) (string, error) {
	if text == "" {
		return "", errors.New("no certificate")
	}
	if strings.Contains(text, "-----BEGIN") {
		return text, nil
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return "", fmt.Errorf("decode certificate: %w", err)
	}
	if utf8.Valid(raw) && bytes.Contains(raw, []byte("-----BEGIN")) {
		return string(raw), nil
	}
	return text, nil
}

// Finish notes what is missing for the service to be moved whole.
func (i *Import) Finish() {
	i.settings()
	for _, p := range i.Scope.Policies {
		if p.PrimaryKey.IsZero() || p.SecondaryKey.IsZero() {
			i.note("policy %s is without keys in the files: new ones are made; to keep those in use, add the output of \"az iot dps policy list\"", p.KeyName)
		}
	}
	if i.found && len(i.Scope.Policies) == 0 {
		i.note("no access policies in the files: add the output of \"az iot dps policy list\", so that connection strings stay good")
	}
}

func upsert[T any](list []T, one T, name func(T) string) []T {
	at := slices.IndexFunc(list, func(o T) bool { return strings.EqualFold(name(o), name(one)) })
	if at < 0 {
		return append(list, one)
	}
	list[at] = one
	return list
}
