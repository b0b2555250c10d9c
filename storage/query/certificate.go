package query

import (
	"github.com/zerotouch-dps/dps/attestation"
)

// infoRow is the stored form of an attestation.CertificateInfo.
type infoRow struct {
	Subject    string `json:"subject,omitempty"`
	Issuer     string `json:"issuer,omitempty"`
	SHA1       string `json:"sha1,omitempty"`
	SHA256     string `json:"sha256,omitempty"`
	NotBefore  int64  `json:"notBefore,omitempty"`
	NotAfter   int64  `json:"notAfter,omitempty"`
	Serial     string `json:"serial,omitempty"`
	Version    int    `json:"version,omitempty"`
	CommonName string `json:"cn,omitempty"`
}

func infoToRow(i *attestation.CertificateInfo) *infoRow {
	if i == nil {
		return nil
	}
	return &infoRow{
		Subject: i.Subject, Issuer: i.Issuer, SHA1: i.SHA1, SHA256: i.SHA256,
		NotBefore: Micros(i.NotBefore), NotAfter: Micros(i.NotAfter),
		Serial: i.Serial, Version: i.Version, CommonName: i.CommonName,
	}
}

func (r *infoRow) info() *attestation.CertificateInfo {
	if r == nil {
		return nil
	}
	return &attestation.CertificateInfo{
		Subject: r.Subject, Issuer: r.Issuer, SHA1: r.SHA1, SHA256: r.SHA256,
		NotBefore: Time(r.NotBefore), NotAfter: Time(r.NotAfter),
		Serial: r.Serial, Version: r.Version, CommonName: r.CommonName,
	}
}

// certificateRow is the stored form of an attestation.Certificate.
type certificateRow struct {
	DER  []byte  `json:"der"`
	Info infoRow `json:"info"`
}

func certificateToRow(c *attestation.Certificate) *certificateRow {
	if c == nil {
		return nil
	}
	return &certificateRow{DER: c.DER, Info: *infoToRow(&c.Info)}
}

func (r *certificateRow) certificate() *attestation.Certificate {
	if r == nil {
		return nil
	}
	return &attestation.Certificate{DER: r.DER, Info: *r.Info.info()}
}
