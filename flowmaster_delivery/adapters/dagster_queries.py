"""The GraphQL that is asked of Dagster's webserver; held against its schema by a test."""

from __future__ import annotations

LOCATIONS = """
query Locations {
  repositoriesOrError {
    __typename
    ... on RepositoryConnection { nodes { name location { name } } }
    ... on PythonError { message }
  }
}
"""

LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId status tags { key value } } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on Error { message }
  }
}
"""

FIND = """
query Find($filter: RunsFilter!) {
  runsOrError(filter: $filter, limit: 20) {
    __typename
    ... on Runs { results { runId status tags { key value } } }
    ... on Error { message }
  }
}
"""

RUN = """
query Run($id: ID!) {
  runOrError(runId: $id) {
    __typename
    ... on Run { runId status tags { key value } stepStats { stepKey status } }
    ... on Error { message }
  }
}
"""

EVENTS = """
query Events($id: ID!, $after: String) {
  logsForRun(runId: $id, afterCursor: $after, limit: 1000) {
    __typename
    ... on EventConnection {
      cursor
      hasMore
      events {
        __typename
        ... on ExecutionStepFailureEvent {
          stepKey
          failureMetadata { description }
          error { className message causes { className message } }
        }
        ... on AssetCheckEvaluationEvent {
          evaluation { checkName success severity description assetKey { path } }
        }
        ... on RunFailureEvent { message error { message } }
        ... on RunCanceledEvent { message error { message } }
        ... on EngineEvent { message }
      }
    }
    ... on Error { message }
  }
}
"""

QUERIES = (LOCATIONS, LAUNCH, FIND, RUN, EVENTS)
