// The clients of Go's users, unmodified, against the broker: franz-go with kadm, sarama, and segmentio/kafka-go.
import { keepsItsClaims } from '../support/client-claims.js';
import { goPrograms } from '../support/client-programs.js';

keepsItsClaims(goPrograms.franzGo, {
  protocols: ['classic', 'cooperative', 'consumer'],
  isIdempotent: true,
  isStatic: true,
  removesStatic: true,
  findsMaxTimestamp: true,
  tellsNull: true,
  lacks: ['listedProtocol'],
});

keepsItsClaims(goPrograms.sarama, {
  // The oldest version of Kafka that 4.4 still serves, and the newest that the client knows.
  protocols: ['2.1.0', '4.3.1'],
  isIdempotent: true,
  isStatic: true,
  removesStatic: true,
  findsMaxTimestamp: false,
  tellsNull: true,
  lacks: ['lastSequences', 'endOfEpoch', 'lag', 'listed', 'type', 'quorum'],
  changed: { recordsDeleted: 0 },
});

keepsItsClaims(goPrograms.kafkaGo, {
  protocols: ['classic'],
  isIdempotent: false,
  isStatic: false,
  removesStatic: false,
  findsMaxTimestamp: false,
  tellsNull: false,
  lacks: ['lastSequences', 'recordsDeleted', 'start', 'endOfEpoch', 'logDirs', 'lag', 'listed', 'type', 'quorum'],
});
