// What tls_client_auth compares (RFC 8705 section 2.1.2). Node gives a subject as lines in the order of the certificate; the
// registered name is RFC 4514's, which has them the other way round. Names with characters that either escapes are not for
// these tests.
const distinguishedName = (certificate) => certificate.subject.split('\n').reverse().join(',');

// describes reports whether a certificate has the value that a client registered.
export function describes(certificate, property, expected) {
  const alternatives = (certificate.subjectAltName ?? '').split(', ');
  switch (property) {
    case 'tls_client_auth_subject_dn':
      return distinguishedName(certificate) === expected;
    case 'tls_client_auth_san_uri':
      return alternatives.includes(`URI:${expected}`);
    case 'tls_client_auth_san_dns':
      return alternatives.includes(`DNS:${expected}`);
    default:
      return false;
  }
}
