/** Why a consumer group does not do what a member asks: Kafka's error code and a sentence for the client's log. */
import { kafkaErrors } from '../../../wire/index.js';

export interface Refusal {
  readonly errorCode: number;
  readonly errorMessage: string;
}

export function refusal(error: keyof typeof kafkaErrors, errorMessage: string): Refusal {
  return { errorCode: kafkaErrors[error], errorMessage };
}

export function isRefusal(answer: object): answer is Refusal {
  return 'errorCode' in answer;
}
