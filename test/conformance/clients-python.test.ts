// The clients of Python's users, unmodified, against the broker: kafka-python, aiokafka, and confluent-kafka with its own librdkafka.
import { keepsItsClaims } from '../support/client-claims.js';
import { pythonPrograms } from '../support/client-programs.js';

keepsItsClaims(pythonPrograms.kafkaPython, {
  protocols: ['classic', 'cooperative'],
  isIdempotent: true,
  isStatic: true,
  removesStatic: true,
  findsMaxTimestamp: true,
  tellsNull: true,
  lacks: ['endOfEpoch', 'lag'],
});

keepsItsClaims(pythonPrograms.aiokafka, {
  protocols: ['classic'],
  isIdempotent: true,
  isStatic: true,
  removesStatic: false,
  findsMaxTimestamp: false,
  tellsNull: true,
  lacks: [
    'lastSequences',
    'endOfEpoch',
    'logDirs',
    'lag',
    'listed',
    'type',
    'forget',
    'forgotten',
    'quorum',
    'groupDeleted',
    'groupDeletedAgain',
  ],
});

keepsItsClaims(pythonPrograms.confluentKafka, {
  protocols: ['classic', 'cooperative', 'consumer'],
  isIdempotent: true,
  isStatic: true,
  removesStatic: false,
  findsMaxTimestamp: true,
  tellsNull: true,
  lacks: ['lastSequences', 'endOfEpoch', 'logDirs', 'lag', 'listedProtocol', 'forget', 'forgotten', 'quorum'],
});
