Feature: Sending a message

  Scenario: A message is taken for delivery
    Given a person with an e-mail address
    When a message is sent to that address
    Then the answer says that it was taken
